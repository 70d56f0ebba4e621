-- How many rows policies have deleted from each table since then.
SELECT table_oid::bigint, sum(rows_removed)::bigint
FROM ops.maintenance_runs
WHERE table_oid IS NOT NULL AND started_at >= %(since)s
GROUP BY 1

-- How many rows the other policies of a database have removed from each table since then.
SELECT split_part(policy, '/', 3), sum(rows_removed)::bigint
FROM ops.maintenance_runs
WHERE starts_with(policy, %(policies)s) AND policy <> %(vacuum)s AND started_at >= %(since)s
GROUP BY 1

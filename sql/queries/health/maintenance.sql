-- When each policy was last carried out to its end, and what it left then.
SELECT DISTINCT ON (policy) policy, finished_at, rows_left
FROM ops.maintenance_runs
WHERE policy = ANY(%(policies)s) AND outcome IN ('done', 'stopped')
ORDER BY policy, started_at DESC

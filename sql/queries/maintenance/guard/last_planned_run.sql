-- The last run that carried out a plan: its cutoff, the worker's clock, and the policy.
SELECT cutoff, (details ->> 'worker_clock')::timestamptz, details -> 'definition', started_at
FROM ops.maintenance_runs
WHERE policy = %(policy)s AND coalesce(details ->> 'work_outcome', outcome) IN ('done', 'stopped', 'paused') AND details ? 'worker_clock'
ORDER BY started_at DESC, id DESC
LIMIT 1

-- The last run of a policy, not counting runs that were skipped because another was running.
SELECT id
FROM ops.maintenance_runs
WHERE policy = %(policy)s AND outcome <> 'skipped'
ORDER BY started_at DESC, id DESC
LIMIT 1

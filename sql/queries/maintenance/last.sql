-- The last run of a policy that did more than find another one at work.
SELECT id
FROM ops.maintenance_runs
WHERE policy = %(policy)s AND outcome <> 'skipped'
ORDER BY started_at DESC, id DESC
LIMIT 1

-- The cutoff of the policy's last complete run, if it was within the last 25 hours.
SELECT cutoff
FROM ops.maintenance_runs
WHERE policy = %(policy)s AND coalesce(details ->> 'work_outcome', outcome) = 'done' AND started_at > now() - interval '25 hours'
ORDER BY started_at DESC
LIMIT 1

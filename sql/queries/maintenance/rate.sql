-- How many rows a second the policy's last run that removed any has removed, while it was at work.
SELECT rows_removed / working_seconds
FROM ops.maintenance_runs
WHERE policy = %(policy)s AND rows_removed > 0 AND working_seconds > 0
ORDER BY started_at DESC
LIMIT 1

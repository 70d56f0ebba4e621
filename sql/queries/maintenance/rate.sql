-- How many rows a second the policy's last run has removed, while it was at work, that removed enough for so many
-- to be told by it: 10,000, or a tenth of them.
SELECT rows_removed / working_seconds
FROM ops.maintenance_runs
WHERE policy = %(policy)s AND working_seconds > 0
  AND rows_removed >= greatest(1, least(10000, %(rows)s::bigint / 10))
ORDER BY started_at DESC
LIMIT 1

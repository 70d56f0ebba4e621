-- The rate, in rows per second, of the policy's last run that removed enough rows, not counting throttled time. Enough:
-- 10,000 rows, or a tenth of the given number.
SELECT rows_removed / working_seconds
FROM ops.maintenance_runs
WHERE policy = %(policy)s AND working_seconds > 0
  AND rows_removed >= greatest(1, least(10000, %(rows)s::bigint / 10))
ORDER BY started_at DESC
LIMIT 1

-- The counters of writes that the policy's last run before that time recorded, by table oid, and when.
SELECT (details -> 'counted' ->> 'at')::timestamptz, details -> 'counted' -> 'by_oid'
FROM ops.maintenance_runs
WHERE policy = %(policy)s AND details -> 'counted' ? 'by_oid'
  AND (details -> 'counted' ->> 'at')::timestamptz <= %(before)s
ORDER BY started_at DESC
LIMIT 1

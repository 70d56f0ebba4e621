-- What the policy's last run before that moment counted of its tables' writes, and when.
SELECT (details -> 'counted' ->> 'at')::timestamptz, details -> 'counted' -> 'tables'
FROM ops.maintenance_runs
WHERE policy = %(policy)s AND details ? 'counted' AND (details -> 'counted' ->> 'at')::timestamptz <= %(before)s
ORDER BY started_at DESC
LIMIT 1

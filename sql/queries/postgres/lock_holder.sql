-- The session that holds the advisory lock of that name: pid, application_name, time of connection.
-- pg_locks shows a bigint lock key as its high and low half.
SELECT a.pid, a.application_name, a.backend_start
FROM pg_locks l
JOIN pg_stat_activity a ON a.pid = l.pid
CROSS JOIN (SELECT hashtextextended(%(name)s, 0) AS key) k
WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND (l.classid::bigint << 32) | l.objid::bigint = k.key
LIMIT 1

-- Cancels the statement of whoever holds the advisory lock of that name.
-- A bigint lock key is shown in pg_locks as its high and low half.
SELECT pg_cancel_backend(l.pid)
FROM pg_locks l
WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND (l.classid::bigint << 32) | l.objid::bigint = hashtextextended(%(name)s, 0)

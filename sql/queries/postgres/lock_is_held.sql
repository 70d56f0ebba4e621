-- Whether any session holds the advisory lock of that name. Takes no lock.
-- pg_locks shows a bigint lock key as its high and low half.
SELECT EXISTS (
  SELECT FROM pg_locks l
  WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
    AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND (l.classid::bigint << 32) | l.objid::bigint = hashtextextended(%(name)s, 0)
)

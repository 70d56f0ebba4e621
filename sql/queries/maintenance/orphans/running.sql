-- Transactions of this database that were open at that time and still are: any of them may add a parent. Without the
-- right to see when another user's transaction began, each one that is open now counts. So does a prepared one.
SELECT a.pid, coalesce(nullif(a.application_name, ''), a.usename, 'a session'), a.xact_start
FROM pg_locks l
JOIN pg_stat_activity a ON a.pid = l.pid
WHERE l.locktype = 'virtualxid' AND l.granted AND a.datname = current_database()
  AND a.pid <> pg_backend_pid()
  AND coalesce(a.backend_type, '') NOT IN ('autovacuum worker', 'parallel worker')
  AND coalesce(a.xact_start, '-infinity') <= %(moment)s
UNION ALL
SELECT NULL, 'the prepared transaction ' || gid, prepared FROM pg_prepared_xacts WHERE database = current_database()
ORDER BY 3 NULLS FIRST

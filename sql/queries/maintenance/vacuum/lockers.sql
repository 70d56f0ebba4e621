-- A session that holds a lock for which VACUUM of a table has to wait.
SELECT a.pid, coalesce(a.usename, a.backend_type)::text, coalesce(a.application_name, '')
FROM pg_locks l
JOIN pg_stat_activity a ON a.pid = l.pid
WHERE l.relation = %(oid)s AND l.granted AND l.pid <> pg_backend_pid()
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND l.mode IN ('ShareUpdateExclusiveLock', 'ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock',
                 'AccessExclusiveLock')
ORDER BY a.xact_start NULLS LAST
LIMIT 1

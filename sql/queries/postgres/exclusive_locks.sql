-- The sessions with a lock on a table of this database that even prevents reading it, oldest transaction first.
SELECT l.pid, coalesce(a.usename, p.owner), a.application_name,
       extract(epoch FROM clock_timestamp() - coalesce(a.xact_start, p.prepared))::float8 AS seconds,
       format('%I.%I', n.nspname, c.relname), l.mode, left(a.query, 200), p.gid
FROM pg_locks l
JOIN pg_class c ON c.oid = l.relation
JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_stat_activity a ON a.pid = l.pid
LEFT JOIN pg_prepared_xacts p ON l.pid IS NULL AND l.virtualtransaction = '-1/' || p.transaction
WHERE l.locktype = 'relation' AND l.granted AND l.mode = 'AccessExclusiveLock' AND c.relkind IN ('r', 'p', 'm')
  AND l.pid IS DISTINCT FROM pg_backend_pid()
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
ORDER BY seconds DESC NULLS LAST

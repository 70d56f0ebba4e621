-- The sessions that have a table open, the longest first, and what they are doing.
SELECT DISTINCT ON (a.xact_start, a.pid) a.pid, coalesce(a.usename, a.backend_type)::text, a.application_name, a.state
FROM pg_locks l
JOIN pg_stat_activity a ON a.pid = l.pid
WHERE l.relation = %(oid)s AND l.granted AND l.pid <> pg_backend_pid()
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
ORDER BY a.xact_start NULLS LAST, a.pid
LIMIT 3

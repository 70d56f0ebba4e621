-- The sessions of this database with a transaction that has been open for longer, the oldest first: who, for how many
-- seconds, and the statement that ends it. VACUUM's own transactions hold nothing back.
SELECT format('pid %%s (%%s)', a.pid,
              concat_ws(', ', a.state, 'user ' || a.usename, nullif(a.application_name, ''))),
       extract(epoch FROM clock_timestamp() - a.xact_start)::float8,
       ARRAY[format('SELECT pg_terminate_backend(%%s);', a.pid)]
FROM pg_stat_activity a
WHERE a.datid = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND a.backend_type = 'client backend' AND a.pid <> pg_backend_pid()
  AND a.xact_start < clock_timestamp() - make_interval(secs => %(seconds)s)
  AND NOT EXISTS (SELECT FROM pg_stat_progress_vacuum v WHERE v.pid = a.pid)
ORDER BY a.xact_start

-- Another session of this server that is building an index now.
SELECT pid FROM pg_stat_progress_create_index WHERE pid <> pg_backend_pid() LIMIT 1

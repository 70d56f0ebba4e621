-- The progress of a session's VACUUM since PostgreSQL 17, which counts the indexes that are done.
SELECT CASE WHEN n.nspname = 'pg_toast' THEN 'TOAST table of ' || main_schema.nspname || '.' || main.relname
            ELSE n.nspname || '.' || c.relname END,
       p.phase, p.heap_blks_total, p.heap_blks_scanned, p.heap_blks_vacuumed, p.index_vacuum_count,
       p.indexes_total, p.indexes_processed
FROM pg_stat_progress_vacuum p
JOIN pg_class c ON c.oid = p.relid
JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_class main ON main.reltoastrelid = c.oid
LEFT JOIN pg_namespace main_schema ON main_schema.oid = main.relnamespace
WHERE p.pid = %(pid)s AND p.datname = current_database()

-- How far the VACUUM of a session has come, from PostgreSQL 17 on, which counts the indexes that are done.
SELECT CASE WHEN n.nspname = 'pg_toast' THEN 'TOAST table of ' || o.oid::regclass
            ELSE n.nspname || '.' || c.relname END,
       p.phase, p.heap_blks_total, p.heap_blks_scanned, p.heap_blks_vacuumed, p.index_vacuum_count,
       p.indexes_total, p.indexes_processed
FROM pg_stat_progress_vacuum p
JOIN pg_class c ON c.oid = p.relid
JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_class o ON o.reltoastrelid = c.oid
WHERE p.pid = %(pid)s AND p.datname = current_database()

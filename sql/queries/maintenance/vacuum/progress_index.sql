-- How far the REINDEX of a session has come: of the rows where they are counted, else of the table's blocks.
SELECT coalesce(n.nspname || '.' || c.relname, t.oid::regclass::text), 'REINDEX, ' || p.phase,
       CASE WHEN p.tuples_total > 0 THEN p.tuples_total ELSE p.blocks_total END,
       CASE WHEN p.tuples_total > 0 THEN p.tuples_done ELSE p.blocks_done END, 0, 0, NULL::bigint, NULL::bigint
FROM pg_stat_progress_create_index p
JOIN pg_class t ON t.oid = p.relid
LEFT JOIN pg_class c ON c.oid = p.index_relid
LEFT JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE p.pid = %(pid)s AND p.datname = current_database()

-- The progress of a session's REINDEX: by rows where they are counted, else by the table's blocks.
SELECT n.nspname || '.' || c.relname, 'REINDEX, ' || p.phase,
       CASE WHEN p.tuples_total > 0 THEN p.tuples_total ELSE p.blocks_total END,
       CASE WHEN p.tuples_total > 0 THEN p.tuples_done ELSE p.blocks_done END, 0, 0, NULL::bigint, NULL::bigint
FROM pg_stat_progress_create_index p
LEFT JOIN pg_class index ON index.oid = p.index_relid
JOIN pg_class c ON c.oid = coalesce(index.oid, p.relid)
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE p.pid = %(pid)s AND p.datname = current_database()

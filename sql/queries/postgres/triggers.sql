-- The enabled triggers, except ours, of a table and its partitions whose type (pg_trigger.tgtype) has all of these bits:
-- with their function, and whether it may return NULL, from the source text of a PL/pgSQL function. Partitions' copies
-- of their table's triggers (tgparentid) are left out.
SELECT t.tgname::text, format('%%I.%%I', f.nspname, p.proname),
       l.lanname <> 'plpgsql' OR p.prosrc ~* '\mreturn\s+null\M',
       c.oid, n.nspname, c.relname
FROM (SELECT relid FROM pg_partition_tree(%(oid)s) UNION SELECT %(oid)s) AS heap (oid)
JOIN pg_trigger t ON t.tgrelid = heap.oid AND NOT t.tgisinternal AND t.tgenabled IN ('O', 'A')
  AND (t.tgparentid = 0 OR heap.oid = %(oid)s)
  AND t.tgtype & %(bits)s = %(bits)s
JOIN pg_proc p ON p.oid = t.tgfoid
JOIN pg_language l ON l.oid = p.prolang
JOIN pg_namespace f ON f.oid = p.pronamespace AND f.nspname <> 'ops'
JOIN pg_class c ON c.oid = heap.oid
JOIN pg_namespace n ON n.oid = c.relnamespace
ORDER BY n.nspname, c.relname, t.tgname

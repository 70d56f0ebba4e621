-- The enabled triggers on DELETE of a table and its partitions, without ours, with their functions; of those that a
-- partition has from its table (tgparentid), the table's own alone.
SELECT t.tgname::text, format('%%I.%%I', f.nspname, p.proname), c.oid, n.nspname, c.relname
FROM (SELECT relid FROM pg_partition_tree(%(oid)s) UNION SELECT %(oid)s) AS heap (oid)
JOIN pg_trigger t ON t.tgrelid = heap.oid AND NOT t.tgisinternal AND t.tgenabled IN ('O', 'A')
  AND (t.tgparentid = 0 OR heap.oid = %(oid)s)
  AND t.tgtype & 8 = 8
JOIN pg_proc p ON p.oid = t.tgfoid
JOIN pg_namespace f ON f.oid = p.pronamespace AND f.nspname <> 'ops'
JOIN pg_class c ON c.oid = heap.oid
JOIN pg_namespace n ON n.oid = c.relnamespace
ORDER BY n.nspname, c.relname, t.tgname

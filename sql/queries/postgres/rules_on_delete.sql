-- The rules of a DELETE from the table or a partition of it.
SELECT r.rulename::text, c.oid, n.nspname, c.relname
FROM (SELECT relid FROM pg_partition_tree(%(oid)s) UNION SELECT %(oid)s) AS heap (oid)
JOIN pg_rewrite r ON r.ev_class = heap.oid AND r.ev_type = '4' AND r.ev_enabled IN ('O', 'A')
JOIN pg_class c ON c.oid = heap.oid
JOIN pg_namespace n ON n.oid = c.relnamespace
ORDER BY n.nspname, c.relname, r.rulename

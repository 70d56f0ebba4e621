-- A table and all partitions below it.
SELECT c.oid, n.nspname, c.relname
FROM (SELECT relid FROM pg_partition_tree(%(oid)s) UNION SELECT %(oid)s::oid) AS part (relid)
JOIN pg_class c ON c.oid = part.relid
JOIN pg_namespace n ON n.oid = c.relnamespace
ORDER BY 2, 3

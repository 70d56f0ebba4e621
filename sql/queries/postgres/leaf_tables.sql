-- The leaf partitions of a partitioned table, and whether each is a foreign table; no row for other tables.
SELECT c.oid, n.nspname, c.relname, c.relkind = 'f'
FROM pg_partition_tree(%(oid)s) AS leaf
JOIN pg_class c ON c.oid = leaf.relid
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE leaf.isleaf AND c.relkind IN ('r', 'f')
ORDER BY n.nspname, c.relname

-- A table and its partitions, each with its size including indexes and TOAST.
SELECT c.oid::bigint, n.nspname, c.relname, pg_total_relation_size(c.oid)
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r'
  AND c.oid IN (SELECT %(oid)s::oid UNION ALL SELECT relid FROM pg_partition_tree(%(oid)s))

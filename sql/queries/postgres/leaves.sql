-- The heaps with a table's rows: itself, or its leaf partitions, with their size in blocks. With a partition's lower
-- bound, the caller can skip partitions that cannot have an older row.
SELECT c.oid, n.nspname, c.relname,
       pg_relation_size(c.oid) / current_setting('block_size')::bigint AS blocks,
       CASE WHEN key.attname IS NOT NULL
            THEN greatest(substring(pg_get_expr(c.relpartbound, c.oid) FROM $$FROM \('([^']*)'\)$$)::timestamptz,
                          CASE WHEN pg_get_expr(c.relpartbound, c.oid) ~ $$FROM \('$$
                               THEN timestamptz '0001-01-02 00:00Z' END)
       END AS lower
FROM pg_class root
CROSS JOIN LATERAL (
  SELECT relid FROM pg_partition_tree(root.oid) WHERE isleaf
  UNION SELECT root.oid WHERE root.relkind = 'r'
) AS leaf (oid)
JOIN pg_class c ON c.oid = leaf.oid AND c.relkind = 'r'
JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_inherits i ON i.inhrelid = c.oid AND c.relispartition
LEFT JOIN pg_partitioned_table p ON p.partrelid = i.inhparent AND p.partstrat = 'r' AND p.partnatts = 1
LEFT JOIN pg_attribute key
       ON key.attrelid = p.partrelid AND key.attnum = p.partattrs[0] AND key.attname = %(column)s
WHERE root.oid = %(oid)s
ORDER BY 2, 3

-- The table at the root of a partition's tree; no row if the table is not a partition.
SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname)
FROM pg_class partition
JOIN pg_class c ON c.oid = pg_partition_root(partition.oid)
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE partition.oid = %(oid)s AND partition.relispartition

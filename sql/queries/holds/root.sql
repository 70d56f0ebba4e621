-- The table that a partition belongs to in the end; no row for what is no partition.
SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname)
FROM pg_class partition
JOIN pg_class c ON c.oid = pg_partition_root(partition.oid)
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE partition.oid = %(oid)s AND partition.relispartition

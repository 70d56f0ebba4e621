-- The partitions of a table that is range-partitioned by one column of time: name and bounds, and the
-- default partition (bounds NULL). A partition whose detach is pending is no home for a row.
SELECT n.nspname, c.relname,
       substring(pg_get_expr(c.relpartbound, c.oid) FROM $$FROM \('([^']*)'\)$$)::timestamptz AS lower,
       substring(pg_get_expr(c.relpartbound, c.oid) FROM $$TO \('([^']*)'\)$$)::timestamptz AS upper,
       c.oid = p.partdefid AS is_default
FROM pg_inherits i
JOIN pg_class c ON c.oid = i.inhrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_partitioned_table p ON p.partrelid = i.inhparent
WHERE i.inhparent = %(table)s::regclass AND NOT i.inhdetachpending
ORDER BY lower

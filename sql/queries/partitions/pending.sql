-- The partitions of a table whose detach was interrupted.
SELECT c.oid, n.nspname, c.relname
FROM pg_inherits i
JOIN pg_class c ON c.oid = i.inhrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE i.inhparent = %(table)s AND i.inhdetachpending
ORDER BY c.relname

-- The schema of most partitions of a table; the table's own schema while it has none.
SELECT n.nspname
FROM pg_class t
LEFT JOIN pg_inherits i ON i.inhparent = t.oid
LEFT JOIN pg_class c ON c.oid = i.inhrelid
JOIN pg_namespace n ON n.oid = coalesce(c.relnamespace, t.relnamespace)
WHERE t.oid = %(table)s
GROUP BY n.oid, n.nspname, t.relnamespace
ORDER BY count(*) DESC, n.oid = t.relnamespace DESC, n.nspname
LIMIT 1

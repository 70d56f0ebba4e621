-- Schema and name of a table, by its oid; no row when it does not exist.
SELECT n.nspname, c.relname
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.oid = %(table)s

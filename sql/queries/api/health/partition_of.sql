-- The partition of a table for rows of that time, unless it is the default partition.
SELECT c.relname
FROM pg_class t
JOIN pg_namespace n ON n.oid = t.relnamespace
JOIN pg_inherits i ON i.inhparent = t.oid
JOIN pg_class c ON c.oid = i.inhrelid
WHERE n.nspname = %(schema)s AND t.relname = %(name)s AND NOT i.inhdetachpending
  AND substring(pg_get_expr(c.relpartbound, c.oid) FROM $$FROM \('([^']*)'\)$$)::timestamptz <= %(moment)s
  AND substring(pg_get_expr(c.relpartbound, c.oid) FROM $$TO \('([^']*)'\)$$)::timestamptz > %(moment)s

-- Whether schema ops has a table of applied migrations (maybe another program's), and whether this user may read it.
SELECT count(*) > 0, coalesce(bool_and(has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT')), false)
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = 'ops' AND c.relname = 'migrations'
  AND (SELECT count(*) FROM pg_attribute WHERE attrelid = c.oid AND attname IN ('name', 'applied_at')) = 2

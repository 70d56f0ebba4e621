-- The index of that schema and name: its oid, another one once it was rebuilt, and its bytes. No row: it is gone.
SELECT c.oid, pg_relation_size(c.oid)
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = %(schema)s AND c.relname = %(name)s

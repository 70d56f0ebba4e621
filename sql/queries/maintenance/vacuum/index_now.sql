-- The index with that schema and name: its oid, which a rebuild changes, and its bytes. No row: it was dropped.
SELECT c.oid, pg_relation_size(c.oid)
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = %(schema)s AND c.relname = %(name)s

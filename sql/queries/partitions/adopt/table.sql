-- The table of that schema and name: its oid, kind, and what it weighs.
SELECT c.oid, c.relkind::text, c.relispartition, pg_total_relation_size(c.oid), greatest(c.reltuples, 0)::bigint
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = %(schema)s AND c.relname = %(name)s AND c.relkind IN ('r', 'p', 'f', 'v', 'm')

-- The tables that inherit from this one, directly or indirectly, except partitions: each with its parent.
WITH RECURSIVE below (child, parent) AS (
  SELECT inhrelid, inhparent FROM pg_inherits WHERE inhparent = %(oid)s
  UNION
  SELECT i.inhrelid, i.inhparent FROM below JOIN pg_inherits i ON i.inhparent = below.child
)
SELECT c.oid, n.nspname, c.relname, p.oid, pn.nspname, p.relname
FROM below
JOIN pg_class c ON c.oid = below.child AND NOT c.relispartition
JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_class p ON p.oid = below.parent
JOIN pg_namespace pn ON pn.oid = p.relnamespace
ORDER BY n.nspname, c.relname, pn.nspname, p.relname

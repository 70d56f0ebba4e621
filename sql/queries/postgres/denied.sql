-- The object to which PostgreSQL has denied the current user access, and its owner. The error's fields do not name it;
-- only the end of its message does, in the server's language: it is the object with the longest matching name.
SELECT kind, oid, schema, last, name, owner
FROM (
  SELECT 'table' AS kind, c.oid::bigint, n.nspname AS schema, c.relname AS last,
         format('%%I.%%I', n.nspname, c.relname) AS name, c.relowner AS owned
  FROM pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
  UNION ALL
  SELECT 'schema', oid::bigint, nspname, nspname, format('%%I', nspname), nspowner FROM pg_namespace
  UNION ALL
  SELECT 'function', p.oid::bigint, n.nspname, p.proname, p.oid::regprocedure::text, p.proowner
  FROM pg_proc p
  JOIN pg_namespace n ON n.oid = p.pronamespace
  UNION ALL
  SELECT 'database', oid::bigint, '', datname, format('%%I', datname), datdba FROM pg_database
) AS known
CROSS JOIN LATERAL (SELECT format('%%I', pg_get_userbyid(owned)) AS owner) AS owners
WHERE right(%(message)s, length(last)) = last
ORDER BY length(last) DESC, strpos(%(message)s, kind) > 0 DESC, schema = 'ops' DESC
LIMIT 1

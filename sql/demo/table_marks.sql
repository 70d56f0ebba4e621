-- Which of the sample application's tables exist, and whether each was created by sql/demo/tables.sql.
SELECT c.relname,
       coalesce(obj_description(c.oid, 'pg_class') = 'Sample application of Ops Pipeline', false) AS ours
FROM pg_class c
WHERE c.relnamespace = 'public'::regnamespace
  AND c.relname IN ('users', 'sessions', 'conversations', 'memories')
ORDER BY c.relname

-- The objects in schema ops, as PostgreSQL describes them, except the table of applied migrations.
SELECT ARRAY(
  SELECT format('%I', relname)
  FROM pg_class
  WHERE relnamespace = n.oid AND relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
    AND relname <> 'migrations'
  UNION
  SELECT format('%I()', proname) FROM pg_proc WHERE pronamespace = n.oid
  UNION
  SELECT format('type %I', typname)
  FROM pg_type
  WHERE typnamespace = n.oid AND typelem = 0 AND typrelid = 0
  ORDER BY 1
), pg_get_userbyid(n.nspowner)
FROM pg_namespace n
WHERE n.nspname = 'ops'

-- A table that neither the demo, nor a migration of ours, nor an extension has created.
SELECT format('%%I.%%I', n.nspname, c.relname)
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'f', 'm')
  AND n.nspname NOT LIKE 'pg\_%%' AND n.nspname NOT IN ('information_schema', 'ops')
  AND obj_description(c.oid, 'pg_class') IS DISTINCT FROM 'Sample application of Ops Pipeline'
  AND c.oid NOT IN (SELECT relid FROM pg_partition_tree(to_regclass('public.audit_logs')))
  AND NOT EXISTS (
    SELECT FROM pg_depend d
    WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'
  )
ORDER BY 1
LIMIT 1

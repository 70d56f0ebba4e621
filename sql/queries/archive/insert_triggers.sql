-- The triggers that fire when rows are inserted into a table or a partition of it, without ours: how each is enabled
-- (pg_trigger.tgenabled), the owner of its table, and whether the current user has the privileges of the owner.
SELECT t.tgname::text, t.tgenabled::text, c.oid, n.nspname, c.relname, pg_get_userbyid(c.relowner)::text,
       pg_has_role(c.relowner, 'USAGE')
FROM (SELECT relid FROM pg_partition_tree(%(oid)s) UNION SELECT %(oid)s) AS heap (oid)
JOIN pg_trigger t ON t.tgrelid = heap.oid AND NOT t.tgisinternal AND t.tgenabled IN ('O', 'A') AND t.tgtype & 4 = 4
JOIN pg_proc p ON p.oid = t.tgfoid
JOIN pg_namespace f ON f.oid = p.pronamespace AND f.nspname <> 'ops'
JOIN pg_class c ON c.oid = heap.oid
JOIN pg_namespace n ON n.oid = c.relnamespace
ORDER BY n.nspname, c.relname, t.tgname

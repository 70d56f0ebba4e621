-- Those of these tables whose rows row security may hide from this user, some of them with their partitions: name,
-- user, whether it is forced on the user as owner, policies, and the statements, each of which fixes it.
SELECT format('%%s.%%s', n.nspname, c.relname), current_user, o.ours,
       ARRAY(SELECT polname::text FROM pg_policy WHERE polrelid = c.oid ORDER BY polname),
       array_remove(ARRAY[
         format('ALTER ROLE %%I BYPASSRLS', current_user),
         CASE WHEN o.ours THEN format('ALTER TABLE %%I.%%I NO FORCE ROW LEVEL SECURITY', n.nspname, c.relname)
              WHEN NOT r.rolsuper THEN format('GRANT %%I TO %%I', r.rolname, current_user) END
       ], NULL)
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_roles r ON r.oid = c.relowner
CROSS JOIN LATERAL (SELECT pg_has_role(c.relowner, 'USAGE')) AS o (ours)
WHERE row_security_active(c.oid)
  AND (
    c.oid = ANY (%(alone)s::oid [])
    OR c.oid IN (
      SELECT leaf.relid
      FROM unnest(%(with_partitions)s::oid []) AS whole (oid)
      CROSS JOIN LATERAL pg_partition_tree(whole.oid) AS leaf
      UNION
      SELECT unnest(%(with_partitions)s::oid [])
    )
  )
ORDER BY 1

-- The privileges on tables (SELECT, DELETE, UPDATE; OWNER is membership in the owning role) that this user lacks, with
-- USAGE of their schemas, and membership in our roles: object, privilege, and the GRANT. Partitions are checked too,
-- because rows are read and deleted partition by partition.
WITH required AS (
  SELECT DISTINCT c.oid, c.relname, c.relnamespace, c.relowner, r.privilege
  FROM unnest(%(tables)s::oid[], %(privileges)s::text[]) AS r (oid, privilege)
  CROSS JOIN LATERAL (
    SELECT leaf.relid FROM pg_partition_tree(r.oid) AS leaf UNION SELECT r.oid
  ) AS heap (oid)
  JOIN pg_class c ON c.oid = heap.oid AND c.relkind IN ('r', 'p')
)
SELECT 'schema ' || n.nspname, 'USAGE', format('GRANT USAGE ON SCHEMA %%I TO %%I;', n.nspname, current_user)
FROM pg_namespace n
WHERE n.oid IN (SELECT relnamespace FROM required) AND NOT has_schema_privilege(n.oid, 'USAGE')
UNION ALL
SELECT format('%%s.%%s', n.nspname, r.relname), string_agg(r.privilege, ', ' ORDER BY r.privilege DESC),
       format('GRANT %%s ON %%I.%%I TO %%I;', string_agg(r.privilege, ', ' ORDER BY r.privilege DESC),
              n.nspname, r.relname, current_user)
FROM required r
JOIN pg_namespace n ON n.oid = r.relnamespace
WHERE r.privilege <> 'OWNER'
  AND NOT CASE r.privilege WHEN 'UPDATE' THEN has_any_column_privilege(r.oid, r.privilege) -- enough to lock rows
                           ELSE has_table_privilege(r.oid, r.privilege) END
GROUP BY n.nspname, r.relname
UNION ALL
SELECT format('%%s.%%s', n.nspname, r.relname), 'the privileges of its owner, who alone may drop partitions',
       CASE WHEN owner.rolsuper THEN format('ALTER TABLE %%I.%%I OWNER TO %%I;', n.nspname, r.relname, current_user)
            ELSE format('GRANT %%I TO %%I;', owner.rolname, current_user) END
FROM required r
JOIN pg_namespace n ON n.oid = r.relnamespace
JOIN pg_roles owner ON owner.oid = r.relowner
WHERE r.privilege = 'OWNER' AND NOT pg_has_role(r.relowner, 'USAGE')
UNION ALL
SELECT 'schema ops', 'what members of ' || needed.role || ' may do', format('GRANT %%I TO %%I;', needed.role, current_user)
FROM (VALUES ('ops_maintenance', 'maintenance_runs', 'INSERT'), ('ops_reader', 'migrations', 'SELECT'))
  AS needed (role, relname, privilege)
JOIN pg_class c ON c.relname = needed.relname
JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname = 'ops'
WHERE NOT (has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, needed.privilege))
ORDER BY 1, 2

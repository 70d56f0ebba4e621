-- The schemas on this session's search path in which others may create objects: schema, who (NULL: everybody), and the
-- statement that takes the right back. Others are not superusers, this user, our owner, or owners of these tables,
-- whose triggers run with this user's rights in any case.
SELECT n.nspname, r.rolname,
       format('REVOKE CREATE ON SCHEMA %%I FROM %%s;', n.nspname, coalesce(quote_ident(r.rolname), 'PUBLIC'))
FROM unnest(current_schemas(false)) WITH ORDINALITY AS path (name, place)
JOIN pg_namespace n ON n.nspname = path.name
CROSS JOIN LATERAL aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) AS acl
LEFT JOIN pg_roles r ON r.oid = acl.grantee
WHERE acl.privilege_type = 'CREATE'
  AND (acl.grantee = 0
       OR acl.grantee <> n.nspowner AND NOT r.rolsuper AND r.rolname <> current_user
          AND NOT EXISTS (
            SELECT FROM pg_class c
            WHERE c.relowner = acl.grantee
              AND (c.oid = ANY (%(tables)s::oid[]) OR c.oid = to_regclass('ops.maintenance_runs'))
          ))
ORDER BY path.place, r.rolname

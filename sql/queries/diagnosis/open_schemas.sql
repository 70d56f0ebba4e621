-- The schemas on this session's search path in which other roles may create objects: schema, role (NULL: PUBLIC), and
-- the REVOKE. Not counted are superusers, this user, the database's owner, our schema's owner, and the owners of these
-- tables, whose triggers run with this user's privileges in any case.
SELECT n.nspname, r.rolname,
       CASE WHEN acl.grantee = n.nspowner THEN format('ALTER SCHEMA %%I OWNER TO %%I;', n.nspname, current_user)
            ELSE format('REVOKE CREATE ON SCHEMA %%I FROM %%s;', n.nspname, coalesce(quote_ident(r.rolname), 'PUBLIC'))
       END
FROM unnest(current_schemas(false)) WITH ORDINALITY AS path (name, place)
JOIN pg_namespace n ON n.nspname = path.name
CROSS JOIN LATERAL aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) AS acl
LEFT JOIN pg_roles r ON r.oid = acl.grantee
WHERE acl.privilege_type = 'CREATE'
  AND (acl.grantee = 0
       OR NOT r.rolsuper AND r.rolname NOT IN (current_user, 'pg_database_owner')
          AND NOT EXISTS (SELECT FROM pg_database WHERE datname = current_database() AND datdba = acl.grantee)
          AND NOT EXISTS (
            SELECT FROM pg_class c
            WHERE c.relowner = acl.grantee
              AND (c.oid = ANY (%(tables)s::oid[]) OR c.oid = to_regclass('ops.maintenance_runs'))
          ))
ORDER BY path.place, r.rolname

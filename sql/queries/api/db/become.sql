-- Gives up the login's own rights for those of a role, where the login may and the role can do its work in
-- this database; answers with the role, or with no row. Tables that are yet to be migrated are no obstacle.
SELECT set_config('role', rolname, false)
FROM pg_roles
WHERE rolname = %(role)s
  AND pg_has_role(session_user, oid, 'MEMBER')
  AND coalesce(has_table_privilege(oid, to_regclass('public.audit_logs'), %(right)s), true)

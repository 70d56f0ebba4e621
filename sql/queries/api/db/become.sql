-- Switches from the login role to a role, if the login may and the role has its privilege in this database;
-- returns the role, or no row. Tables that are not migrated yet are not an obstacle.
SELECT set_config('role', rolname, false)
FROM pg_roles
WHERE rolname = %(role)s
  AND pg_has_role(session_user, oid, 'MEMBER')
  AND coalesce(has_table_privilege(oid, to_regclass('public.audit_logs'), %(right)s), true)

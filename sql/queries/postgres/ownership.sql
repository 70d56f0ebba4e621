-- The statement that gives the current user the privileges of a table's owner. Membership in a superuser is never granted:
-- a table owned by a superuser gets another owner.
SELECT CASE WHEN owner.rolsuper THEN format('ALTER TABLE %%I.%%I OWNER TO %%I', n.nspname, c.relname, current_user)
            ELSE format('GRANT %%I TO %%I', owner.rolname, current_user) END
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_roles owner ON owner.oid = c.relowner
WHERE c.oid = %(oid)s AND NOT pg_has_role(c.relowner, 'USAGE')

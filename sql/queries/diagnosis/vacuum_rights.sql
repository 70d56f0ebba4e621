-- The statements that allow this user to VACUUM these tables: one role for all from PostgreSQL 17; before, membership
-- in each owner, or ownership of the table if its owner is a superuser.
SELECT DISTINCT CASE WHEN current_setting('server_version_num')::integer >= 170000
                     THEN format('GRANT pg_maintain TO %%I;', current_user)
                     WHEN owner.rolsuper
                     THEN format('ALTER TABLE %%I.%%I OWNER TO %%I;', n.nspname, c.relname, current_user)
                     ELSE format('GRANT %%I TO %%I;', owner.rolname, current_user) END
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_roles owner ON owner.oid = c.relowner
WHERE c.oid = ANY (%(tables)s::oid[])

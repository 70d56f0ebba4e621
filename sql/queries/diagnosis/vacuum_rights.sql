-- What lets this user VACUUM these tables: one role for all from PostgreSQL 17, before that membership in each owner.
SELECT DISTINCT CASE WHEN current_setting('server_version_num')::integer >= 170000
                     THEN format('GRANT pg_maintain TO %%I;', current_user)
                     ELSE format('GRANT %%I TO %%I;', pg_get_userbyid(relowner), current_user) END
FROM pg_class
WHERE oid = ANY (%(tables)s::oid[])

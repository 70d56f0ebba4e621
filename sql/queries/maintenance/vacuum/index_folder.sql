-- The folder of an index on the server, NULL where this user may not know it.
SELECT CASE WHEN pg_has_role('pg_read_all_settings', 'USAGE') THEN
         coalesce(nullif(pg_tablespace_location(coalesce(nullif(c.reltablespace, 0), d.dattablespace)), ''),
                  current_setting('data_directory', true)) END
FROM pg_class c
CROSS JOIN pg_database d
WHERE c.oid = %(oid)s AND d.datname = current_database()
UNION ALL SELECT NULL
LIMIT 1

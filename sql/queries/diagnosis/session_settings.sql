-- Those of these settings that are set for this database, this role, or the role in this database: name, where it is
-- set, its value, this session's value, and the statement that resets it.
SELECT split_part(pair, '=', 1),
       concat_ws(' in ', 'role ' || r.rolname, 'database ' || d.datname),
       substring(pair FROM position('=' IN pair) + 1), current_setting(split_part(pair, '=', 1)),
       CASE WHEN r.oid IS NULL THEN format('ALTER DATABASE %%I RESET %%s;', d.datname, split_part(pair, '=', 1))
            WHEN d.oid IS NULL THEN format('ALTER ROLE %%I RESET %%s;', r.rolname, split_part(pair, '=', 1))
            ELSE format('ALTER ROLE %%I IN DATABASE %%I RESET %%s;', r.rolname, d.datname, split_part(pair, '=', 1))
       END
FROM pg_db_role_setting s
CROSS JOIN LATERAL unnest(s.setconfig) AS pair
LEFT JOIN pg_database d ON d.oid = s.setdatabase
LEFT JOIN pg_roles r ON r.oid = s.setrole
WHERE (s.setdatabase = 0 OR d.datname = current_database()) AND (s.setrole = 0 OR r.rolname = current_user)
  AND lower(split_part(pair, '=', 1)) = ANY (%(pinned)s::text[])
ORDER BY 2, 1

-- What gives the present user the rights of the owner of a table and its partitions, where it does not have them.
-- Nobody is to become a superuser: what such a one owns is given away.
SELECT DISTINCT CASE WHEN owner.rolsuper
                     THEN format('ALTER TABLE %%I.%%I OWNER TO %%I', n.nspname, c.relname, current_user)
                     ELSE format('GRANT %%I TO %%I', owner.rolname, current_user) END
FROM (SELECT relid FROM pg_partition_tree(%(oid)s) UNION SELECT %(oid)s) AS member (oid)
JOIN pg_class c ON c.oid = member.oid
JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_roles owner ON owner.oid = c.relowner
WHERE NOT pg_has_role(c.relowner, 'USAGE')
ORDER BY 1

-- The GRANT of a table's owner to the present user, who does not have that role's rights.
SELECT format('GRANT %%I TO %%I', pg_get_userbyid(relowner), current_user)
FROM pg_class
WHERE oid = %(oid)s AND NOT pg_has_role(relowner, 'USAGE')

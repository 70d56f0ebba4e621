-- The owner of a table, and whether it is another role than the current user.
SELECT pg_get_userbyid(relowner), pg_get_userbyid(relowner) <> current_user
FROM pg_class
WHERE oid = %(table)s

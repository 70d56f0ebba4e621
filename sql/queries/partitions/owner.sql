-- Who owns a table, and whether that is somebody else than the present user.
SELECT pg_get_userbyid(relowner), pg_get_userbyid(relowner) <> current_user
FROM pg_class
WHERE oid = %(table)s

-- Whether a database of that name exists, and whether this user may create one.
SELECT EXISTS (SELECT FROM pg_database WHERE datname = %(name)s), rolcreatedb OR rolsuper
FROM pg_roles
WHERE rolname = current_user

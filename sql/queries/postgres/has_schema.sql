-- Whether a schema of that name exists.
SELECT count(*) > 0 FROM pg_namespace WHERE nspname = %(name)s

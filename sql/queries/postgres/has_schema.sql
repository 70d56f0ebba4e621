-- Whether there is a schema of that name.
SELECT count(*) > 0 FROM pg_namespace WHERE nspname = %(name)s

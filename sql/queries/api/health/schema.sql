-- The applied migrations, and whether their tables exist.
SELECT name, to_regclass('public.audit_logs') IS NOT NULL AND to_regclass('ops.api_keys') IS NOT NULL
FROM ops.migrations

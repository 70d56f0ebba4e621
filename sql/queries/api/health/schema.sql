-- The migrations that have been applied, and whether what they made is there.
SELECT migration_id, to_regclass('public.audit_logs') IS NOT NULL AND to_regclass('ops.api_keys') IS NOT NULL
FROM ops._yoyo_migration

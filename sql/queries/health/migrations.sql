-- The migrations that have been applied.
SELECT migration_id FROM ops._yoyo_migration

-- The migrations that were applied here, by the table in which yoyo counts them.
SELECT migration_id FROM ops._yoyo_migration

-- The applied migrations, from yoyo's table.
SELECT migration_id FROM ops._yoyo_migration

-- The server's data directory, for users who may see it.
SELECT current_setting('data_directory', true)
WHERE pg_has_role('pg_read_all_settings', 'USAGE')
UNION ALL SELECT NULL
LIMIT 1

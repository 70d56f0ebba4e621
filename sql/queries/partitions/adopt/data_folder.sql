-- Where the server keeps its data, for whom may know.
SELECT current_setting('data_directory', true)
WHERE pg_has_role('pg_read_all_settings', 'USAGE')
UNION ALL SELECT NULL
LIMIT 1

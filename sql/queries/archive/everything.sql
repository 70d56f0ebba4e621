-- All archived files, by table and day.
SELECT id, policy, run_id, table_schema, table_name, day_column, day, path, temporary_path, rows, bytes,
       sha256,
       schema AS columns,
       cutoff, oldest, newest, created_at, stored_at, verified_at, verified_ok, restored_at, restored_into
FROM ops.archives
ORDER BY table_schema, table_name, day NULLS FIRST, id

-- Archived files by their final paths.
SELECT id, policy, run_id, table_schema, table_name, day_column, day, path, temporary_path, rows, bytes,
       sha256,
       schema AS columns,
       cutoff, oldest, newest, created_at, stored_at, verified_at, verified_ok, restored_at, restored_into
FROM ops.archives
WHERE path = ANY (%(paths)s)
ORDER BY id

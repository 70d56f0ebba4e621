-- Archived files of a table between two days, both included. Files without a day count as before the first.
SELECT id, policy, run_id, table_schema, table_name, day_column, day, path, temporary_path, rows, bytes,
       sha256,
       schema AS columns,
       cutoff, oldest, newest, created_at, stored_at, verified_at, verified_ok, restored_at, restored_into
FROM ops.archives
WHERE table_schema = %(schema)s AND table_name = %(table)s
  AND (%(first)s::date IS NULL OR day >= %(first)s)
  AND (%(last)s::date IS NULL OR day <= %(last)s OR day IS NULL)
ORDER BY day NULLS FIRST, id

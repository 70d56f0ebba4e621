-- Notes parts in the transaction that removes their rows.
INSERT INTO ops.archives (
  policy, run_id, table_schema, table_name, day_column, day, path, temporary_path, rows, bytes, sha256, schema,
  cutoff, oldest, newest
)
VALUES {rows}

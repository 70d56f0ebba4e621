-- Adds the rows that a batch deleted and changed in another table to its run.
INSERT INTO ops.cascaded_rows AS known (run_id, table_oid, table_schema, table_name, rows_deleted, rows_changed)
VALUES (%(run)s, %(table)s, %(schema)s, %(name)s, %(deleted)s, %(changed)s)
ON CONFLICT (run_id, table_oid) DO UPDATE
SET rows_deleted = known.rows_deleted + excluded.rows_deleted,
    rows_changed = known.rows_changed + excluded.rows_changed

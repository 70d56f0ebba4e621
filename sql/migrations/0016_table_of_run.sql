-- Records the table that a run deletes from, independent of the policy's name.

ALTER TABLE ops.maintenance_runs ADD COLUMN table_oid oid;

COMMENT ON COLUMN ops.maintenance_runs.table_oid IS 'The table the policy deletes from; NULL: the policy deletes no rows';

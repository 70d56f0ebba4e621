-- A run knows the table it deletes from, whatever its policy is called.
-- depends: 0015_needs_approval

ALTER TABLE ops.maintenance_runs ADD COLUMN table_oid oid;

COMMENT ON COLUMN ops.maintenance_runs.table_oid IS 'The table the policy deletes from; NULL where it deletes none';

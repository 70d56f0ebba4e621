-- Plans, approves and records the rows that foreign keys also delete or change.

ALTER TABLE ops.plans
  ADD COLUMN cascaded bigint NOT NULL DEFAULT 0,
  ADD COLUMN follows text REFERENCES ops.plans;

CREATE INDEX plans_follows ON ops.plans (follows) WHERE follows IS NOT NULL;

COMMENT ON COLUMN ops.plans.cascaded IS 'Rows of other tables that foreign keys would delete or change';
COMMENT ON COLUMN ops.plans.follows IS
  'The plan that makes the orphans of this one; approving that one approves this one as well';

CREATE TABLE ops.cascaded_rows (
  run_id       bigint NOT NULL REFERENCES ops.maintenance_runs ON DELETE CASCADE,
  table_oid    oid    NOT NULL,
  table_schema text   NOT NULL,
  table_name   text   NOT NULL,
  rows_deleted bigint NOT NULL DEFAULT 0,
  rows_changed bigint NOT NULL DEFAULT 0,
  PRIMARY KEY (run_id, table_oid)
);

COMMENT ON TABLE ops.cascaded_rows IS
  'Rows of other tables that a run''s deletes have deleted or changed through foreign keys and triggers';

DO $$
BEGIN
  IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'ops_reader') THEN
    GRANT SELECT ON ops.cascaded_rows TO ops_reader;
  END IF;

  IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'ops_maintenance') THEN
    GRANT SELECT, INSERT, UPDATE ON ops.cascaded_rows TO ops_maintenance;
  END IF;
END
$$;

-- Holds, which protect rows from all policies, and plans that need approval.

CREATE TABLE ops.legal_holds (
  id             bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  table_schema   text        NOT NULL,
  table_name     text        NOT NULL,
  predicate      jsonb       NOT NULL,
  predicate_text text        NOT NULL,
  reason         text        NOT NULL CHECK (reason <> ''),
  owner          text        NOT NULL CHECK (owner <> ''),
  created_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
  created_by     text        NOT NULL,
  ends_at        timestamptz,
  released_at    timestamptz,
  released_by    text,
  CHECK ((released_at IS NULL) = (released_by IS NULL))
);

COMMENT ON TABLE ops.legal_holds IS 'Rows that no policy may delete, added under the advisory lock "ops: holds"';
COMMENT ON COLUMN ops.legal_holds.predicate IS '[{column, operator, value, time}]; a row on hold satisfies all of them';
COMMENT ON COLUMN ops.legal_holds.owner IS 'Whom to ask before the hold is released';

CREATE INDEX legal_holds_table ON ops.legal_holds (table_schema, table_name) WHERE released_at IS NULL;

CREATE TABLE ops.plans (
  id           text        PRIMARY KEY CHECK (id ~ '^[0-9a-f]{8}$'),
  policy       text        NOT NULL,
  definition   jsonb       NOT NULL,
  cutoff       timestamptz,
  worker_clock timestamptz NOT NULL,
  eligible     bigint      NOT NULL,
  total        bigint      NOT NULL,
  fraction     float8      NOT NULL,
  exact        boolean     NOT NULL,
  reasons      text[]      NOT NULL,
  created_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
  approved_at  timestamptz,
  approved_by  text,
  used_at      timestamptz,
  used_by_run  bigint,
  CHECK ((approved_at IS NULL) = (approved_by IS NULL)),
  CHECK (used_at IS NULL OR approved_at IS NOT NULL)
);

COMMENT ON TABLE ops.plans IS 'Plans that need approval: nothing is deleted before a person has approved';
COMMENT ON COLUMN ops.plans.definition IS 'The policy as it was planned; the approval is void for any other definition';
COMMENT ON COLUMN ops.plans.cutoff IS 'The approved run deletes only rows older than this';
COMMENT ON COLUMN ops.plans.worker_clock IS 'The time on the worker''s clock when it made the plan';

CREATE INDEX plans_policy ON ops.plans (policy, created_at DESC);

DO $$
BEGIN
  IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'ops_reader') THEN
    GRANT SELECT ON ops.legal_holds, ops.plans TO ops_reader;
  END IF;

  IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'ops_maintenance') THEN
    GRANT SELECT, INSERT, UPDATE ON ops.legal_holds, ops.plans TO ops_maintenance;
  END IF;
END
$$;

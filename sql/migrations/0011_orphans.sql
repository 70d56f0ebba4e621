-- Missing parents: found by a sweep, or recorded when they were deleted.

CREATE TABLE ops.missing_parents (
  id          bigint      GENERATED ALWAYS AS IDENTITY,
  policy      text        NOT NULL,
  source      text        NOT NULL DEFAULT 'deleted' CHECK (source IN ('sweep', 'deleted')),
  keys        text[],
  rows        bigint,
  heap        oid,
  first_block bigint,
  end_block   bigint,
  since       timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (policy, id)
);

COMMENT ON TABLE ops.missing_parents IS 'Keys that children may refer to although no parent has them; many keys in one row';
COMMENT ON COLUMN ops.missing_parents.source IS 'sweep: found missing. deleted: recorded by the trigger of opsctl track';
COMMENT ON COLUMN ops.missing_parents.keys IS
  'One array as text for each referenced column; NULL: all keys, after a TRUNCATE';
COMMENT ON COLUMN ops.missing_parents.rows IS 'How many children refer to them; NULL: not counted yet';
COMMENT ON COLUMN ops.missing_parents.first_block IS
  'The first block of the heap with children, if no index finds them';
COMMENT ON COLUMN ops.missing_parents.since IS 'They have been missing at least since then: the grace period begins here';
-- A child row has no time, but the transaction that wrote it has an id.
CREATE TABLE ops.orphan_clock (
  policy  text        NOT NULL,
  at      timestamptz NOT NULL DEFAULT clock_timestamp(),
  horizon xid8        NOT NULL,
  PRIMARY KEY (policy, at)
);

COMMENT ON COLUMN ops.orphan_clock.horizon IS
  'All transactions of this database with a lower id had ended by then: the rows they wrote are older';

CREATE TABLE ops.orphan_tracks (
  policy       text        PRIMARY KEY,
  installed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  fingerprint  text,
  audits       boolean     NOT NULL DEFAULT false,
  swept_at     timestamptz
);

COMMENT ON TABLE ops.orphan_tracks IS 'Policies whose parent table records deleted keys: opsctl track';
COMMENT ON COLUMN ops.orphan_tracks.fingerprint IS
  'The parent''s heaps and triggers when the last sweep began; while they are unchanged, the record is complete';
COMMENT ON COLUMN ops.orphan_tracks.audits IS 'Whether the record was complete when that sweep began, so that the sweep verifies it';
COMMENT ON COLUMN ops.orphan_tracks.swept_at IS 'When that sweep ended; NULL: it has not ended, and the record cannot be used yet';

-- Called by the triggers that `opsctl track install` creates, whose arguments are the policy and the columns. Runs
-- as its owner, so that roles that delete parents need no privilege on our tables; and with fixed settings, so that
-- values are written as they are read again.
CREATE FUNCTION ops.record_deleted_parents() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET datestyle = 'ISO, YMD' SET intervalstyle = 'postgres'
SET bytea_output = 'hex' SET extra_float_digits = 1 AS $$
DECLARE
  columns text[] := TG_ARGV[1:];
BEGIN
  IF TG_OP = 'TRUNCATE' THEN
    INSERT INTO ops.missing_parents (policy) VALUES (TG_ARGV[0]);
  ELSIF TG_LEVEL = 'ROW' THEN
    EXECUTE format(
      'INSERT INTO ops.missing_parents (policy, keys) SELECT $1, ARRAY[%s] WHERE %s',
      (SELECT string_agg(format('ARRAY[($2).%I]::text', name), ', ') FROM unnest(columns) AS name),
      (SELECT string_agg(format('($2).%I IS NOT NULL', name), ' AND ') FROM unnest(columns) AS name)
    ) USING TG_ARGV[0], OLD;
  ELSE
    EXECUTE format(
      'INSERT INTO ops.missing_parents (policy, keys)
       SELECT $1, ARRAY[%s]
       FROM (SELECT %s, (row_number() OVER () - 1) / 1000 AS "part of deleted" FROM deleted WHERE %s) AS numbered
       GROUP BY "part of deleted"',
      (SELECT string_agg(format('array_agg(%I)::text', name), ', ') FROM unnest(columns) AS name),
      (SELECT string_agg(format('%I', name), ', ') FROM unnest(columns) AS name),
      (SELECT string_agg(format('%I IS NOT NULL', name), ' AND ') FROM unnest(columns) AS name)
    ) USING TG_ARGV[0];
  END IF;
  RETURN NULL;
END
$$;

REVOKE ALL ON FUNCTION ops.record_deleted_parents() FROM PUBLIC;

DO $$
BEGIN
  IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'ops_reader') THEN
    GRANT SELECT ON ops.missing_parents, ops.orphan_clock, ops.orphan_tracks TO ops_reader;
  END IF;

  IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'ops_maintenance') THEN
    GRANT SELECT, INSERT, UPDATE, DELETE ON ops.missing_parents, ops.orphan_clock, ops.orphan_tracks
      TO ops_maintenance;
    GRANT EXECUTE ON FUNCTION ops.record_deleted_parents() TO ops_maintenance;
  END IF;
END
$$;

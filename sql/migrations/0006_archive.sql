-- The archive's manifest: a row for each file of archived rows.

CREATE TABLE ops.archives (
  id             bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  policy         text        NOT NULL,
  run_id         bigint      NOT NULL,
  table_schema   text        NOT NULL,
  table_name     text        NOT NULL,
  day_column     text,
  day            date,
  path           text        NOT NULL UNIQUE,
  temporary_path text        NOT NULL,
  rows           bigint      NOT NULL CHECK (rows > 0),
  bytes          bigint      NOT NULL CHECK (bytes > 0),
  sha256         text        NOT NULL CHECK (sha256 ~ '^[0-9a-f]{64}$'),
  schema         jsonb       NOT NULL,
  cutoff         timestamptz,
  oldest         timestamptz,
  newest         timestamptz,
  created_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
  stored_at      timestamptz,
  verified_at    timestamptz,
  verified_ok    boolean,
  restored_at    timestamptz,
  restored_into  text
);

COMMENT ON TABLE ops.archives IS
  'Each row is committed together with the delete of the archived rows, so these are no longer in their table';
COMMENT ON COLUMN ops.archives.day_column IS 'The column of the day; NULL: it is the day of the delete';
COMMENT ON COLUMN ops.archives.day IS 'UTC; NULL: the rows have no day, such as -infinity';
COMMENT ON COLUMN ops.archives.path IS 'Relative to the archive; until stored_at is set, the file may still have its temporary path';
COMMENT ON COLUMN ops.archives.oldest IS 'The oldest value of the policy''s time column; NULL: none, or beyond the year 9999';

CREATE INDEX archives_table ON ops.archives (table_schema, table_name, day, id);
CREATE INDEX archives_unstored ON ops.archives (policy) WHERE stored_at IS NULL;

-- The id of this database, which distinguishes unfinished files of databases that share a folder.
CREATE TABLE ops.archive_origin (
  id  uuid    NOT NULL DEFAULT gen_random_uuid(),
  one boolean PRIMARY KEY DEFAULT true CHECK (one)
);

INSERT INTO ops.archive_origin DEFAULT VALUES;

-- A type's full name, independent of the session's search path.
CREATE FUNCTION ops.type_name(type oid, modifier integer) RETURNS text
LANGUAGE sql STABLE SET search_path = '' RETURN format_type(type, modifier);

-- Restored events are not new: the live tail skips them; queries return them as before.
CREATE OR REPLACE FUNCTION ops.record_arrivals() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
  IF current_setting('ops.restoring', true) = 'on' THEN
    RETURN NULL;
  END IF;
  INSERT INTO ops.audit_arrivals (created_ats, ids)
  SELECT array_agg(created_at), array_agg(id)
  FROM (SELECT created_at, id, (row_number() OVER () - 1) / 1000 AS part FROM arrived) AS numbered
  GROUP BY part
  ORDER BY part;
  -- Each arrival deletes a few expired ones. It never waits; under REPEATABLE READ, where a row deleted by
  -- another session would be an error, it leaves them to the next. now(), not clock_timestamp(): with a volatile
  -- function no index can be used, and each insert would read every arrival of the day.
  IF current_setting('transaction_isolation') = 'read committed' THEN
    DELETE FROM ops.audit_arrivals
    WHERE ctid = ANY (ARRAY(
      SELECT ctid FROM ops.audit_arrivals
      WHERE arrived_at < now() - interval '1 day'
      ORDER BY arrived_at
      LIMIT 4
      FOR UPDATE SKIP LOCKED
    ));
  END IF;
  RETURN NULL;
END
$$;

DO $$
BEGIN
  IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'ops_reader') THEN
    GRANT SELECT ON ops.archives TO ops_reader;
  END IF;
  IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'ops_maintenance') THEN
    GRANT SELECT, INSERT, UPDATE ON ops.archives TO ops_maintenance;
    GRANT SELECT ON ops.archive_origin TO ops_maintenance;
  END IF;
END
$$;

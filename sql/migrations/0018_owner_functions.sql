-- Approvals, archived files, receipts, holds, and what the live tail skips are only written through functions of the
-- owner. Each runs with its owner's privileges, ignores the caller's search path, and can only be executed by the
-- roles it is granted to.

ALTER TABLE ops.plans ADD COLUMN approved_login text;
ALTER TABLE ops.legal_holds ADD COLUMN created_login text, ADD COLUMN bound_login text, ADD COLUMN released_login text;

COMMENT ON COLUMN ops.plans.approved_login IS 'The database login that approved, independent of approved_by';
COMMENT ON COLUMN ops.legal_holds.bound_login IS 'The database login that last bound the hold to a table; NULL: not since it was added';

CREATE FUNCTION ops.approve_plan(plan text, by_person text) RETURNS SETOF ops.plans
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  UPDATE ops.plans
  SET approved_at = clock_timestamp(), approved_by = by_person, approved_login = session_user
  WHERE (id = plan OR follows = plan) AND approved_at IS NULL
  RETURNING *
$$;

CREATE FUNCTION ops.use_plan(plan text, run bigint) RETURNS SETOF text
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  UPDATE ops.plans SET used_at = clock_timestamp(), used_by_run = run
  WHERE id = plan AND approved_at IS NOT NULL AND used_at IS NULL
  RETURNING id
$$;

CREATE FUNCTION ops.add_hold(
  of_schema text, of_name text, of_table oid, rows_met jsonb, rows_text text, because text, ask text, by_person text,
  until timestamptz
) RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  INSERT INTO ops.legal_holds
    (table_schema, table_name, table_oid, table_columns, predicate, predicate_text, reason, owner, created_by,
     created_login, ends_at)
  VALUES
    (of_schema, of_name, of_table, ops.columns_of(of_table), rows_met, rows_text, because, ask, by_person,
     session_user, until)
  RETURNING id
$$;

CREATE FUNCTION ops.bind_hold(
  hold bigint, to_schema text, to_name text, to_table oid, rows_met jsonb, rows_text text
) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  UPDATE ops.legal_holds
  SET table_schema = to_schema, table_name = to_name, table_oid = to_table,
      table_columns = ops.columns_of(to_table), predicate = rows_met, predicate_text = rows_text,
      bound_login = session_user
  WHERE id = hold AND released_at IS NULL
$$;

CREATE FUNCTION ops.release_hold(hold bigint, by_person text) RETURNS SETOF bigint
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  UPDATE ops.legal_holds
  SET released_at = clock_timestamp(), released_by = by_person, released_login = session_user
  WHERE id = hold AND released_at IS NULL
  RETURNING id
$$;

-- Records files whose rows the transaction deletes. The files are a JSON array of objects with the columns' names.
CREATE FUNCTION ops.record_archives(files jsonb) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  INSERT INTO ops.archives
    (policy, run_id, table_schema, table_name, day_column, day, path, temporary_path, rows, bytes, sha256, schema,
     cutoff, oldest, newest)
  SELECT policy, run_id, table_schema, table_name, day_column, day, path, temporary_path, rows, bytes, sha256, schema,
         cutoff, oldest, newest
  FROM jsonb_populate_recordset(NULL::ops.archives, files)
$$;

-- Records the state of archived files: stored under their final names, verified (or damaged), or restored into a
-- table. The other columns of a file never change. The live tail skips rows that this transaction has restored into
-- the audit log, but no more rows than the files have.
CREATE FUNCTION ops.mark_archives(
  files bigint[], stored boolean DEFAULT false, verified boolean DEFAULT NULL, restored text DEFAULT NULL
) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  UPDATE ops.archives
  SET stored_at = CASE WHEN stored THEN clock_timestamp() ELSE stored_at END,
      verified_at = CASE WHEN verified IS NOT NULL THEN clock_timestamp() ELSE verified_at END,
      verified_ok = coalesce(verified, verified_ok),
      restored_at = CASE WHEN restored IS NOT NULL THEN clock_timestamp() ELSE restored_at END,
      restored_into = coalesce(restored, restored_into)
  WHERE id = ANY (files);

  WITH arrived AS (SELECT cardinality(ids) AS rows FROM ops.audit_arrivals WHERE transaction = pg_current_xact_id())
  DELETE FROM ops.audit_arrivals
  WHERE restored IS NOT NULL AND transaction = pg_current_xact_id()
    AND (SELECT sum(rows) FROM arrived) <= (SELECT sum(rows) FROM ops.archives WHERE id = ANY (files))
$$;

-- The time given to each id when it was first sent, and the hash of its body; neither is ever changed.
CREATE FUNCTION ops.claim_receipts(
  wanted uuid[], body bytea DEFAULT NULL, OUT id uuid, OUT created_at timestamptz, OUT body_sha256 bytea
) RETURNS SETOF record
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  INSERT INTO ops.audit_receipts AS kept (id, created_at, body_sha256)
  -- Ordered, so that two batches cannot deadlock.
  SELECT given, clock_timestamp(), body FROM (SELECT DISTINCT unnest(wanted) ORDER BY 1) AS ids (given)
  ON CONFLICT ON CONSTRAINT audit_receipts_pkey DO UPDATE SET created_at = kept.created_at
  RETURNING kept.id, kept.created_at, kept.body_sha256
$$;

-- Only deletes receipts older than seven days, when no client retries any more.
CREATE FUNCTION ops.purge_receipts(most integer) RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  WITH old AS (
    DELETE FROM ops.audit_receipts
    WHERE id IN (
      SELECT id FROM ops.audit_receipts
      WHERE received_at < clock_timestamp() - interval '7 days'
      ORDER BY received_at
      LIMIT most
      FOR UPDATE SKIP LOCKED
    )
    RETURNING 1
  )
  SELECT count(*) FROM old
$$;

-- Creates a staging table for rows that are being restored. Only its login may insert, update (ON DELETE SET NULL
-- for rows whose parent no longer exists) and read rows.
CREATE FUNCTION ops.create_staging(staging text, fields text[], types text[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF staging !~ '^restoring_[0-9a-f]{12}$' OR NOT types <@ ARRAY[
    'boolean', 'smallint', 'integer', 'bigint', 'real', 'double precision', 'text', 'bytea', 'date', 'timestamp',
    'timestamptz'
  ] THEN
    RAISE EXCEPTION '% with columns of types % is not a staging table', staging, types
      USING ERRCODE = 'invalid_parameter_value';
  END IF;
  EXECUTE format(
    'CREATE UNLOGGED TABLE ops.%I (%s)', staging,
    (SELECT string_agg(format('%I %s', field, type), ', ' ORDER BY place)
     FROM ROWS FROM (unnest(fields), unnest(types)) WITH ORDINALITY AS listed (field, type, place))
  );
  EXECUTE format('GRANT SELECT, INSERT, UPDATE ON ops.%I TO %I', staging, session_user);
END
$$;

CREATE FUNCTION ops.drop_staging(staging text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF staging !~ '^restoring_[0-9a-f]{12}$' THEN
    RAISE EXCEPTION '% is not a staging table', staging USING ERRCODE = 'invalid_parameter_value';
  END IF;
  EXECUTE format('DROP TABLE ops.%I', staging);
END
$$;

-- As before, except that no session setting can hide events from the live tail.
CREATE OR REPLACE FUNCTION ops.record_arrivals() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
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

-- A role that may execute a trigger function could use it on a table of its own, with columns of its own types.
REVOKE ALL ON FUNCTION ops.record_arrivals() FROM PUBLIC;

-- As before, except that values are written by their type's output function: a cast could be defined by any role,
-- and would run with the owner's privileges here.
CREATE OR REPLACE FUNCTION ops.record_deleted_parents() RETURNS trigger
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
      (SELECT string_agg(format('format(''%%s'', ARRAY[($2).%I])', name), ', ') FROM unnest(columns) AS name),
      (SELECT string_agg(format('($2).%I IS NOT NULL', name), ' AND ') FROM unnest(columns) AS name)
    ) USING TG_ARGV[0], OLD;
  ELSE
    EXECUTE format(
      'INSERT INTO ops.missing_parents (policy, keys)
       SELECT $1, ARRAY[%s]
       FROM (SELECT %s, (row_number() OVER () - 1) / 1000 AS "part of deleted" FROM deleted WHERE %s) AS numbered
       GROUP BY "part of deleted"',
      (SELECT string_agg(format('format(''%%s'', array_agg(%I))', name), ', ') FROM unnest(columns) AS name),
      (SELECT string_agg(format('%I', name), ', ') FROM unnest(columns) AS name),
      (SELECT string_agg(format('%I IS NOT NULL', name), ' AND ') FROM unnest(columns) AS name)
    ) USING TG_ARGV[0];
  END IF;
  RETURN NULL;
END
$$;

REVOKE ALL ON FUNCTION
  ops.approve_plan(text, text), ops.use_plan(text, bigint),
  ops.add_hold(text, text, oid, jsonb, text, text, text, text, timestamptz),
  ops.bind_hold(bigint, text, text, oid, jsonb, text), ops.release_hold(bigint, text),
  ops.record_archives(jsonb), ops.mark_archives(bigint[], boolean, boolean, text),
  ops.claim_receipts(uuid[], bytea), ops.purge_receipts(integer),
  ops.create_staging(text, text[], text[]), ops.drop_staging(text)
FROM PUBLIC;

DO $$
BEGIN
  IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'ops_writer') THEN
    REVOKE ALL ON ops.audit_receipts FROM ops_writer;
    GRANT EXECUTE ON FUNCTION ops.claim_receipts(uuid[], bytea), ops.purge_receipts(integer) TO ops_writer;
  END IF;

  IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'ops_maintenance') THEN
    REVOKE INSERT, UPDATE ON ops.plans, ops.legal_holds, ops.archives FROM ops_maintenance;
    REVOKE DELETE ON ops.maintenance_runs FROM ops_maintenance;
    GRANT INSERT (id, policy, definition, cutoff, worker_clock, eligible, total, fraction, exact, reasons, cascaded,
                  follows) ON ops.plans TO ops_maintenance;
    GRANT EXECUTE ON FUNCTION
      ops.approve_plan(text, text), ops.use_plan(text, bigint),
      ops.add_hold(text, text, oid, jsonb, text, text, text, text, timestamptz),
      ops.bind_hold(bigint, text, text, oid, jsonb, text), ops.release_hold(bigint, text),
      ops.record_archives(jsonb), ops.mark_archives(bigint[], boolean, boolean, text),
      ops.create_staging(text, text[], text[]), ops.drop_staging(text),
      -- Maintenance records its actions in the audit log.
      ops.claim_receipts(uuid[], bytea), ops.known_users(uuid[])
    TO ops_maintenance;
    GRANT SELECT ON ops.migrations, ops.adoptions TO ops_maintenance;
  END IF;
END
$$;

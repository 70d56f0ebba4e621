-- Forwarding of audit events to other systems (opsctl forward): how far each target has come, and arrivals that are kept
-- until every target has them.

CREATE TABLE ops.forward_targets (
  name              text        PRIMARY KEY CHECK (name <> ''),
  host              text        NOT NULL,
  address_sha256    bytea       NOT NULL,
  server            text        NOT NULL,
  seen              pg_snapshot NOT NULL,
  seen_at           timestamptz NOT NULL,
  visible           pg_snapshot NOT NULL,
  visible_at        timestamptz NOT NULL,
  transaction       xid8        NOT NULL,
  place             bigint      NOT NULL,
  nth               bigint      NOT NULL,
  since             timestamptz,
  logged_created_at timestamptz,
  logged_id         uuid,
  events            bigint      NOT NULL DEFAULT 0,
  delivered_at      timestamptz,
  created_at        timestamptz NOT NULL DEFAULT clock_timestamp(),
  CHECK ((logged_created_at IS NULL) = (logged_id IS NULL))
) WITH (fillfactor = 50); -- updated with each batch: room for the new version on the same page

COMMENT ON TABLE ops.forward_targets IS 'How far each target of opsctl forward has come; only its process writes here';
COMMENT ON COLUMN ops.forward_targets.server IS
  'The system identifier of the PostgreSQL server that the snapshots belong to; they mean nothing on another one';
COMMENT ON COLUMN ops.forward_targets.seen IS
  'Every event that was visible in this snapshot, taken at seen_at, was delivered (those before since were not asked for)';
COMMENT ON COLUMN ops.forward_targets.visible IS
  'The snapshot up to which events are being delivered, by transaction, place and number within the arrival';
COMMENT ON COLUMN ops.forward_targets.since IS
  'While events of the log that arrived since then are delivered first, up to logged_created_at and logged_id; then NULL';
COMMENT ON COLUMN ops.forward_targets.address_sha256 IS 'Of the address without its query, to tell two targets of one host apart';

-- As before, except that an arrival which a target has not delivered is kept for up to seven days. By its time the few
-- oldest are found with the index; the snapshot decides: a transaction that was open at seen_at may have stored its
-- events long before. That is asked of those few only, so that an INSERT costs the same whatever is kept.
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
      SELECT expired.tid
      FROM (
        SELECT ctid AS tid, transaction FROM ops.audit_arrivals
        WHERE arrived_at < least(
          now() - interval '1 day',
          (SELECT min(seen_at) FROM ops.forward_targets WHERE seen_at > now() - interval '7 days')
        )
        ORDER BY arrived_at
        LIMIT 4
        FOR UPDATE SKIP LOCKED
      ) AS expired
      WHERE NOT EXISTS (
        SELECT FROM ops.forward_targets
        WHERE seen_at > now() - interval '7 days' AND NOT pg_visible_in_snapshot(expired.transaction, seen)
      )
    ));
  END IF;
  RETURN NULL;
END
$$;

-- Roles belong to the whole server, see 0005_access.
DO $$
BEGIN
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'ops_forwarder') THEN
    BEGIN
      CREATE ROLE ops_forwarder NOLOGIN;
    EXCEPTION
      WHEN duplicate_object OR unique_violation THEN NULL;
      WHEN insufficient_privilege THEN
        RAISE WARNING 'role ops_forwarder does not exist and % is not permitted to create it', current_user;
    END;
  END IF;

  IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'ops_forwarder') THEN
    GRANT USAGE ON SCHEMA public, ops TO ops_forwarder;
    -- INSERT: that it starts and stops is recorded in the audit log.
    GRANT SELECT, INSERT ON public.audit_logs TO ops_forwarder;
    GRANT SELECT ON ops.audit_arrivals, ops.migrations TO ops_forwarder;
    GRANT SELECT, INSERT, UPDATE, DELETE ON ops.forward_targets TO ops_forwarder;
    GRANT EXECUTE ON FUNCTION
      ops.known_users(uuid[]), ops.claim_ids(uuid[], timestamptz[]), ops.compare_events(jsonb, timestamptz[])
    TO ops_forwarder;
  END IF;

  IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'ops_reader') THEN
    GRANT SELECT ON ops.forward_targets TO ops_reader;
  END IF;

  IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'ops_maintenance') THEN
    GRANT SELECT ON ops.forward_targets TO ops_maintenance;
  END IF;
END
$$;

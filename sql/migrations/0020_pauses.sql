-- Pauses of maintenance, the throttle's state while a run waits, and the outcomes paused and observed.

CREATE TABLE ops.maintenance_pauses (
  id            bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  reason        text        NOT NULL CHECK (reason <> ''),
  paused_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
  paused_by     text        NOT NULL CHECK (paused_by <> ''),
  paused_login  text        NOT NULL DEFAULT session_user,
  ends_at       timestamptz CHECK (isfinite(ends_at)),
  resumed_at    timestamptz,
  resumed_by    text,
  resumed_login text,
  CHECK ((resumed_at IS NULL) = (resumed_by IS NULL))
);

COMMENT ON TABLE ops.maintenance_pauses IS
  'While one is neither resumed nor over, no policy of this database is carried out; written by ops.pause() and ops.resume()';
COMMENT ON COLUMN ops.maintenance_pauses.ends_at IS 'The pause is over at this time; NULL: when it is resumed';

-- A new pause replaces the one that it finds, so that its reason and end can be changed without a moment in between.
CREATE FUNCTION ops.pause(because text, by_person text, until timestamptz) RETURNS SETOF ops.maintenance_pauses
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  UPDATE ops.maintenance_pauses
  SET resumed_at = clock_timestamp(), resumed_by = by_person, resumed_login = session_user
  WHERE resumed_at IS NULL AND (ends_at IS NULL OR ends_at > clock_timestamp());

  INSERT INTO ops.maintenance_pauses (reason, paused_by, paused_login, ends_at)
  VALUES (because, by_person, session_user, until)
  RETURNING *
$$;

CREATE FUNCTION ops.resume(by_person text) RETURNS SETOF ops.maintenance_pauses
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  UPDATE ops.maintenance_pauses
  SET resumed_at = clock_timestamp(), resumed_by = by_person, resumed_login = session_user
  WHERE resumed_at IS NULL AND (ends_at IS NULL OR ends_at > clock_timestamp())
  RETURNING *
$$;

REVOKE ALL ON FUNCTION ops.pause(text, text, timestamptz), ops.resume(text) FROM PUBLIC;

ALTER TABLE ops.maintenance_runs
  DROP CONSTRAINT maintenance_runs_outcome_check,
  ADD CONSTRAINT maintenance_runs_outcome_check
    CHECK (outcome IN ('running', 'done', 'stopped', 'needs_approval', 'paused', 'observed', 'interrupted', 'failed',
                       'skipped')),
  ADD COLUMN throttle_reason text,
  ADD COLUMN throttled_since timestamptz,
  ADD CONSTRAINT maintenance_runs_throttled CHECK ((throttle_reason IS NULL) = (throttled_since IS NULL));

COMMENT ON COLUMN ops.maintenance_runs.throttle_reason IS
  'Why the run is throttled at this moment, as text; NULL: it works, or has ended';

DO $$
BEGIN
  IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'ops_reader') THEN
    GRANT SELECT ON ops.maintenance_pauses TO ops_reader;
  END IF;

  IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'ops_maintenance') THEN
    GRANT SELECT ON ops.maintenance_pauses TO ops_maintenance;
    GRANT EXECUTE ON FUNCTION ops.pause(text, text, timestamptz), ops.resume(text) TO ops_maintenance;
  END IF;
END
$$;

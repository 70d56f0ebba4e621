-- The policies of this database that each running process has loaded, so that a process with an old file is found.

CREATE TABLE ops.loaded_policies (
  program     text        NOT NULL,
  host        text        NOT NULL,
  fingerprint text        NOT NULL,
  loaded_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
  seen_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (program, host)
);

COMMENT ON COLUMN ops.loaded_policies.seen_at IS 'Updated about once a minute while the process runs';

-- A process with any of our roles may record what it has loaded. Hosts that were not seen for a day are forgotten.
CREATE FUNCTION ops.record_loaded_policies(of_program text, on_host text, of_fingerprint text) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  DELETE FROM ops.loaded_policies WHERE seen_at < clock_timestamp() - interval '1 day';
  INSERT INTO ops.loaded_policies (program, host, fingerprint)
  VALUES (left(of_program, 100), left(on_host, 255), left(of_fingerprint, 64))
  ON CONFLICT (program, host) DO UPDATE
  SET seen_at = clock_timestamp(), fingerprint = excluded.fingerprint,
      loaded_at = CASE WHEN loaded_policies.fingerprint = excluded.fingerprint THEN loaded_policies.loaded_at
                       ELSE excluded.loaded_at END
$$;

REVOKE ALL ON FUNCTION ops.record_loaded_policies(text, text, text) FROM PUBLIC;

DO $$
DECLARE
  role text;
BEGIN
  FOREACH role IN ARRAY ARRAY['ops_reader', 'ops_writer', 'ops_maintenance'] LOOP
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = role) THEN
      EXECUTE format('GRANT EXECUTE ON FUNCTION ops.record_loaded_policies(text, text, text) TO %I', role);
      IF role <> 'ops_writer' THEN
        EXECUTE format('GRANT SELECT ON ops.loaded_policies TO %I', role);
      END IF;
    END IF;
  END LOOP;
END
$$;

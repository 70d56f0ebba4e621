-- Support for audit queries: indexes, the secret that signs cursors, and the arrivals that the live tail reads.

-- Searches in details: containment, for any key at any depth.
CREATE INDEX idx_audit_logs_details ON public.audit_logs USING gin (details jsonb_path_ops);

-- Events from one address, or from a network.
CREATE INDEX idx_audit_logs_ip_address ON public.audit_logs (ip_address, created_at DESC, id DESC);

-- Events of one actor, newest first.
CREATE INDEX idx_audit_logs_created_by ON public.audit_logs (created_by, created_at DESC, id DESC);

-- Events with one action, newest first.
CREATE INDEX idx_audit_logs_action ON public.audit_logs (action, created_at DESC, id DESC);

CREATE TABLE ops.secrets (
  name       text        PRIMARY KEY,
  value      bytea       NOT NULL,
  created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

COMMENT ON TABLE ops.secrets IS 'Secrets that all API processes share; replacing a value invalidates what it has signed';

-- Each UUID has 122 bits from the server's cryptographic random source.
INSERT INTO ops.secrets (name, value)
VALUES ('cursor', sha256(convert_to(concat(gen_random_uuid(), gen_random_uuid(), gen_random_uuid()), 'UTF8')));

-- The order in which events became visible, which differs from created_at: a slow transaction commits after
-- faster ones, and an import adds old events. With the transaction id, a reader that stores its last
-- pg_snapshot finds exactly the events that were not visible in it. It is a table of its own, not a column of
-- audit_logs: a column would change every archive and every `SELECT *`, would make a moved or restored row look
-- new, and a search for new events would probe an index of each day's partition.
CREATE TABLE ops.audit_arrivals (
  place       bigint        GENERATED ALWAYS AS IDENTITY,
  transaction xid8          NOT NULL DEFAULT pg_current_xact_id(),
  arrived_at  timestamptz   NOT NULL DEFAULT clock_timestamp(),
  created_ats timestamptz[] NOT NULL,
  ids         uuid[]        NOT NULL
);

COMMENT ON TABLE ops.audit_arrivals IS 'The events that each transaction stored; kept for a day';

CREATE INDEX audit_arrivals_transaction ON ops.audit_arrivals (transaction, place);
CREATE INDEX audit_arrivals_arrived_at ON ops.audit_arrivals (arrived_at);

-- Runs as its owner, so that INSERT on audit_logs is the only privilege required to store events.
CREATE FUNCTION ops.record_arrivals() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
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

CREATE TRIGGER record_arrivals
AFTER INSERT ON public.audit_logs
REFERENCING NEW TABLE AS arrived
FOR EACH STATEMENT EXECUTE FUNCTION ops.record_arrivals();

-- What questions to the audit log need: indexes, the key that signs cursors, and what the live tail reads.
-- depends: 0002_maintenance

-- "Which events say this in their details": containment, for any key at any depth.
CREATE INDEX idx_audit_logs_details ON public.audit_logs USING gin (details jsonb_path_ops);

-- "What came from this address", or from this network.
CREATE INDEX idx_audit_logs_ip_address ON public.audit_logs (ip_address, created_at DESC, id DESC);

-- "What did this caller do", newest first.
CREATE INDEX idx_audit_logs_created_by ON public.audit_logs (created_by, created_at DESC, id DESC);

-- "Who did this", newest first.
CREATE INDEX idx_audit_logs_action ON public.audit_logs (action, created_at DESC, id DESC);

CREATE TABLE ops.secrets (
  name       text        PRIMARY KEY,
  value      bytea       NOT NULL,
  created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

COMMENT ON TABLE ops.secrets IS 'Keys that every API process shares; delete a row''s cursors by replacing its value';

-- Each UUID has 122 bits from the server's strong random source.
INSERT INTO ops.secrets (name, value)
VALUES ('cursor', sha256(convert_to(concat(gen_random_uuid(), gen_random_uuid(), gen_random_uuid()), 'UTF8')));

-- The order in which events became visible, which created_at does not tell: a slow transaction commits
-- behind faster ones, and an import brings old events. With the transaction's number a reader that
-- remembers its last pg_snapshot finds exactly what it could not see then. It stands beside audit_logs
-- and not in it: a column there would change every archive and every `SELECT *`, would take a moved or
-- restored row for a new one, and to look for news one index of each day's partition would be probed.
CREATE TABLE ops.audit_arrivals (
  place       bigint        GENERATED ALWAYS AS IDENTITY,
  transaction xid8          NOT NULL DEFAULT pg_current_xact_id(),
  arrived_at  timestamptz   NOT NULL DEFAULT clock_timestamp(),
  created_ats timestamptz[] NOT NULL,
  ids         uuid[]        NOT NULL
);

COMMENT ON TABLE ops.audit_arrivals IS 'Which events each transaction brought; kept for a day';

CREATE INDEX audit_arrivals_transaction ON ops.audit_arrivals (transaction, place);
CREATE INDEX audit_arrivals_arrived_at ON ops.audit_arrivals (arrived_at);

-- Runs as its owner, so that who may insert events needs no right to anything else.
CREATE FUNCTION ops.note_audit_arrivals() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
  INSERT INTO ops.audit_arrivals (created_ats, ids)
  SELECT array_agg(created_at), array_agg(id)
  FROM (SELECT created_at, id, (row_number() OVER () - 1) / 1000 AS part FROM arrived) AS numbered
  GROUP BY part
  ORDER BY part;
  -- Each arrival takes a few expired ones along. Never waits; and under REPEATABLE READ, where the row
  -- that another session removed would be an error, leaves it to the next. now(), not clock_timestamp():
  -- with a volatile function no index can be used, and each insert would read every arrival of the day.
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

CREATE TRIGGER note_arrivals
AFTER INSERT ON public.audit_logs
REFERENCING NEW TABLE AS arrived
FOR EACH STATEMENT EXECUTE FUNCTION ops.note_audit_arrivals();

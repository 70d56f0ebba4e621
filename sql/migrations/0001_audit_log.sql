-- The audit log: one row an event, one partition a day of created_at (UTC).

CREATE TABLE public.audit_logs (
  id            uuid         NOT NULL DEFAULT gen_random_uuid(),
  event_type    varchar(50)  NOT NULL,
  user_id       uuid,
  resource_type varchar(50),
  resource_id   uuid,
  action        varchar(100),
  details       jsonb,
  ip_address    inet,
  status        varchar(20)  CONSTRAINT audit_logs_status CHECK (status IN ('success', 'failure', 'pending')),
  duration_ms   integer      CONSTRAINT audit_logs_duration_ms CHECK (duration_ms >= 0),
  created_at    timestamptz  NOT NULL DEFAULT CURRENT_TIMESTAMP,
  created_by    varchar(255),
  PRIMARY KEY (created_at, id)
) PARTITION BY RANGE (created_at);

-- A row of any date finds a home: what no day's partition takes is kept here.
CREATE TABLE public.audit_logs_default PARTITION OF public.audit_logs DEFAULT;

-- "What did this person do", newest first; also what ON DELETE SET NULL looks up.
CREATE INDEX idx_audit_logs_user_id ON public.audit_logs (user_id, created_at DESC, id DESC);

-- Any period, newest first: the order pages are read in.
CREATE INDEX idx_audit_logs_created_at ON public.audit_logs (created_at DESC, id DESC);

-- "Every event of this type", newest first.
CREATE INDEX idx_audit_logs_event_type ON public.audit_logs (event_type, created_at DESC, id DESC);

-- "What happened to this thing", newest first.
CREATE INDEX idx_audit_logs_resource
  ON public.audit_logs (resource_type, resource_id, created_at DESC, id DESC);

-- One event by its id alone: an auditor has no date in hand.
CREATE INDEX idx_audit_logs_id ON public.audit_logs (id);

-- An application without a users table, or with another kind of key, has no one to refer to.
DO $$
BEGIN
  IF EXISTS (
    SELECT FROM pg_attribute
    WHERE attrelid = to_regclass('public.users') AND attname = 'id' AND atttypid = 'uuid'::regtype
  ) THEN
    ALTER TABLE public.audit_logs
      ADD CONSTRAINT audit_logs_user_id_fkey
      FOREIGN KEY (user_id) REFERENCES public.users (id) ON DELETE SET NULL;
  END IF;
END
$$;

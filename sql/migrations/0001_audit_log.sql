-- The audit log: a row for each event, a partition for each day of created_at (UTC). An application may already
-- have such a table: `opsctl adopt audit_logs` partitions it, and what it lacks is added here.

DO $$
DECLARE
  theirs record;
  lacking text;
BEGIN
  SELECT oid, relkind INTO theirs FROM pg_class WHERE oid = to_regclass('public.audit_logs');
  IF NOT FOUND THEN
    RETURN;
  END IF;
  IF theirs.relkind <> 'p' THEN
    RAISE EXCEPTION 'public.audit_logs of this application is not a partitioned table; nothing was changed';
  END IF;
  IF (SELECT pg_get_partkeydef(theirs.oid)) <> 'RANGE (created_at)' THEN
    RAISE EXCEPTION 'public.audit_logs is partitioned by %, but RANGE (created_at) is required; nothing was changed',
      (SELECT pg_get_partkeydef(theirs.oid));
  END IF;
  SELECT string_agg(format('%s %s', ours.name, ours.type), ', ') INTO lacking
  FROM (VALUES
    ('id', 'uuid'), ('event_type', 'character varying'), ('user_id', 'uuid'),
    ('resource_type', 'character varying'), ('resource_id', 'uuid'), ('action', 'character varying'),
    ('details', 'jsonb'), ('ip_address', 'inet'), ('status', 'character varying'), ('duration_ms', 'integer'),
    ('created_at', 'timestamp with time zone'), ('created_by', 'character varying')
  ) AS ours (name, type)
  WHERE NOT EXISTS (
    SELECT FROM pg_attribute
    WHERE attrelid = theirs.oid AND attname = ours.name AND NOT attisdropped
      AND format_type(atttypid, NULL) = ours.type
  );
  IF lacking IS NOT NULL THEN
    RAISE EXCEPTION 'public.audit_logs lacks the columns %; nothing was changed. Add these columns, or rename the table', lacking;
  END IF;
  IF NOT EXISTS (
    SELECT FROM pg_constraint
    WHERE conrelid = theirs.oid AND contype = 'p' AND pg_get_constraintdef(oid) = 'PRIMARY KEY (created_at, id)'
  ) THEN
    RAISE EXCEPTION 'the primary key of public.audit_logs is not (created_at, id); nothing was changed';
  END IF;
END
$$;

CREATE TABLE IF NOT EXISTS public.audit_logs (
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

-- Existing rows that violate these constraints are kept; new rows must satisfy them.
DO $$
DECLARE
  wanted record;
BEGIN
  FOR wanted IN
    SELECT * FROM (VALUES
      ('audit_logs_status', $c$CHECK (status IN ('success', 'failure', 'pending'))$c$),
      ('audit_logs_duration_ms', 'CHECK (duration_ms >= 0)')
    ) AS c (name, definition)
    WHERE NOT EXISTS (
      SELECT FROM pg_constraint WHERE conrelid = 'public.audit_logs'::regclass AND conname = c.name
    )
  LOOP
    EXECUTE format('ALTER TABLE public.audit_logs ADD CONSTRAINT %I %s NOT VALID', wanted.name, wanted.definition);
    BEGIN
      EXECUTE format('ALTER TABLE public.audit_logs VALIDATE CONSTRAINT %I', wanted.name);
    EXCEPTION WHEN check_violation THEN
      RAISE WARNING 'existing rows of audit_logs violate %; they were not changed', wanted.definition;
    END;
  END LOOP;
END
$$;

-- The default partition takes rows of days that have no partition of their own.
DO $$
BEGIN
  IF NOT EXISTS (
    SELECT FROM pg_partitioned_table WHERE partrelid = 'public.audit_logs'::regclass AND partdefid <> 0
  ) THEN
    CREATE TABLE public.audit_logs_default PARTITION OF public.audit_logs DEFAULT;
  END IF;
END
$$;

-- Drops an index that has the name of one of ours but other columns, so that ours can be created.
DO $$
DECLARE
  lesser record;
BEGIN
  FOR lesser IN
    SELECT ours.name
    FROM (VALUES
      ('idx_audit_logs_user_id', '(user_id, created_at DESC, id DESC)'),
      ('idx_audit_logs_created_at', '(created_at DESC, id DESC)'),
      ('idx_audit_logs_event_type', '(event_type, created_at DESC, id DESC)'),
      ('idx_audit_logs_resource', '(resource_type, resource_id, created_at DESC, id DESC)'),
      ('idx_audit_logs_id', '(id)')
    ) AS ours (name, columns)
    JOIN pg_index i ON i.indexrelid = to_regclass('public.' || ours.name)
    WHERE i.indrelid = 'public.audit_logs'::regclass
      AND pg_get_indexdef(i.indexrelid) NOT LIKE '%USING btree ' || ours.columns
  LOOP
    EXECUTE format('DROP INDEX public.%I', lesser.name);
  END LOOP;
END
$$;

-- Events of one user, newest first; also used by ON DELETE SET NULL.
CREATE INDEX IF NOT EXISTS idx_audit_logs_user_id ON public.audit_logs (user_id, created_at DESC, id DESC);

-- Events of any period, newest first: the order in which pages are read.
CREATE INDEX IF NOT EXISTS idx_audit_logs_created_at ON public.audit_logs (created_at DESC, id DESC);

-- Events of one type, newest first.
CREATE INDEX IF NOT EXISTS idx_audit_logs_event_type
  ON public.audit_logs (event_type, created_at DESC, id DESC);

-- Events about one resource, newest first.
CREATE INDEX IF NOT EXISTS idx_audit_logs_resource
  ON public.audit_logs (resource_type, resource_id, created_at DESC, id DESC);

-- One event by its id alone, without its date.
CREATE INDEX IF NOT EXISTS idx_audit_logs_id ON public.audit_logs (id);

-- The foreign key is only created if the application has a table of users with a uuid key, and we have the
-- privileges to refer to it and to lock its rows.
DO $$
BEGIN
  IF EXISTS (
    SELECT FROM pg_attribute
    WHERE attrelid = to_regclass('public.users') AND attname = 'id' AND atttypid = 'uuid'::regtype
      AND has_table_privilege(attrelid, 'REFERENCES') AND has_table_privilege(attrelid, 'SELECT')
      AND has_any_column_privilege(attrelid, 'UPDATE')
  ) AND NOT EXISTS (
    SELECT FROM pg_constraint
    WHERE conrelid = 'public.audit_logs'::regclass AND contype = 'f' AND confrelid = to_regclass('public.users')
  ) THEN
    ALTER TABLE public.audit_logs
      ADD CONSTRAINT audit_logs_user_id_fkey
      FOREIGN KEY (user_id) REFERENCES public.users (id) ON DELETE SET NULL;
  END IF;
END
$$;

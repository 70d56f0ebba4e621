-- Provenance: columns of the audit log that only the server sets, which id belongs to which event, and whose event it
-- was after the user was deleted.

-- An application's own table may have columns of these names.
DO $$
DECLARE
  other text;
BEGIN
  SELECT string_agg(format('%s is %s and not %s', ours.name, format_type(a.atttypid, NULL), ours.type), ', ') INTO other
  FROM (VALUES
    ('received_at', 'timestamp with time zone'), ('key_id', 'uuid'), ('peer_address', 'inet'), ('subject_id', 'uuid'),
    ('origin', 'text')
  ) AS ours (name, type)
  JOIN pg_attribute a
    ON a.attrelid = 'public.audit_logs'::regclass AND a.attname = ours.name AND NOT a.attisdropped
  WHERE format_type(a.atttypid, NULL) <> ours.type;
  IF other IS NOT NULL THEN
    RAISE EXCEPTION 'public.audit_logs has columns of its own with the names of ours: %; nothing was changed. Rename them', other;
  END IF;
END
$$;

-- Without defaults first, so that no partition is rewritten: of existing rows nothing is known.
ALTER TABLE public.audit_logs
  ADD COLUMN IF NOT EXISTS received_at  timestamptz,
  ADD COLUMN IF NOT EXISTS key_id       uuid,
  ADD COLUMN IF NOT EXISTS peer_address inet,
  ADD COLUMN IF NOT EXISTS subject_id   uuid,
  ADD COLUMN IF NOT EXISTS origin       text;

ALTER TABLE public.audit_logs
  ALTER COLUMN received_at SET DEFAULT clock_timestamp(),
  ALTER COLUMN origin SET DEFAULT 'sql';

COMMENT ON COLUMN public.audit_logs.received_at IS 'When the server stored the event; NULL: stored by a version that did not record it';
COMMENT ON COLUMN public.audit_logs.key_id IS 'The API key that stored the event';
COMMENT ON COLUMN public.audit_logs.peer_address IS 'The address that the connection of that request came from';
COMMENT ON COLUMN public.audit_logs.subject_id IS 'The user_id as given, kept when the user is deleted';
COMMENT ON COLUMN public.audit_logs.origin IS 'How the event was stored: api, import, maintenance or sql';

-- A partition that is being detached can only be attached again with the columns of its parent.
DO $$
DECLARE
  child record;
BEGIN
  FOR child IN
    SELECT n.nspname, c.relname
    FROM ops.detached_partitions d
    JOIN pg_class c ON c.oid = d.partition AND NOT c.relispartition
    JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE d.parent = 'public.audit_logs'::regclass
  LOOP
    EXECUTE format(
      'ALTER TABLE %I.%I
         ADD COLUMN IF NOT EXISTS received_at timestamptz, ADD COLUMN IF NOT EXISTS key_id uuid,
         ADD COLUMN IF NOT EXISTS peer_address inet, ADD COLUMN IF NOT EXISTS subject_id uuid,
         ADD COLUMN IF NOT EXISTS origin text',
      child.nspname, child.relname
    );
  END LOOP;
END
$$;

-- Events that were stored by other statements, or before this migration, have no subject_id until their user is
-- deleted.
CREATE FUNCTION ops.keep_subject() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  NEW.subject_id := OLD.user_id;
  RETURN NEW;
END
$$;

CREATE TRIGGER keep_subject
BEFORE UPDATE OF user_id ON public.audit_logs
FOR EACH ROW
WHEN (OLD.user_id IS NOT NULL AND NEW.user_id IS NULL AND NEW.subject_id IS NULL)
EXECUTE FUNCTION ops.keep_subject();

-- audit_logs is only unique by (created_at, id). The receipt of an id says which time it belongs to: for 24 hours if the
-- time was the client's, for seven days if the server gave it or for an Idempotency-Key.
ALTER TABLE ops.audit_receipts ADD COLUMN dated boolean NOT NULL DEFAULT false;

COMMENT ON COLUMN ops.audit_receipts.dated IS
  'Whether the event came with its time; the receipt is then valid for 24 hours, otherwise for seven days';

-- The time that each id belongs to: the one of the first event with that id. A time of NULL is now.
CREATE FUNCTION ops.claim_ids(wanted uuid[], times timestamptz[], OUT id uuid, OUT created_at timestamptz)
RETURNS SETOF record
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  INSERT INTO ops.audit_receipts AS kept (id, created_at, dated)
  -- Ordered, so that two batches cannot deadlock.
  SELECT DISTINCT ON (given) given, coalesce(its_time, clock_timestamp()), its_time IS NOT NULL
  FROM unnest(wanted, times) WITH ORDINALITY AS ids (given, its_time, place)
  ORDER BY given, place
  ON CONFLICT ON CONSTRAINT audit_receipts_pkey DO UPDATE
  SET (created_at, dated, received_at) = (
    SELECT CASE WHEN over THEN excluded.created_at ELSE kept.created_at END,
           CASE WHEN over THEN excluded.dated ELSE kept.dated END,
           CASE WHEN over THEN excluded.received_at ELSE kept.received_at END
    FROM (SELECT kept.dated AND kept.received_at < clock_timestamp() - interval '24 hours') AS state (over)
  )
  RETURNING kept.id, kept.created_at
$$;

-- As before, and receipts that are valid for 24 hours after these.
CREATE OR REPLACE FUNCTION ops.purge_receipts(most integer) RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  WITH old AS (
    DELETE FROM ops.audit_receipts
    WHERE id IN (
      SELECT id FROM ops.audit_receipts
      WHERE received_at < clock_timestamp() - CASE WHEN dated THEN interval '24 hours' ELSE interval '7 days' END
        AND received_at < clock_timestamp() - interval '24 hours'
      ORDER BY received_at
      LIMIT most
      FOR UPDATE SKIP LOCKED
    )
    RETURNING 1
  )
  SELECT count(*) FROM old
$$;

-- Whether stored events are the same as given ones: of those of a batch whose id and time are stored, its place and
-- whether the content is the same. Roles that store events may not read them.
CREATE FUNCTION ops.compare_events(batches jsonb, times timestamptz[], OUT place bigint, OUT same boolean)
RETURNS SETOF record
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET row_security = off AS $$
BEGIN
  -- By EXECUTE, so that the plan has only the partitions of these times.
  RETURN QUERY EXECUTE '
    SELECT given.nth,
           stored.event_type = given."eventType"
           AND (stored.user_id IS NOT DISTINCT FROM given."userId" OR stored.subject_id = given."userId")
           AND stored.resource_type IS NOT DISTINCT FROM given."resourceType"
           AND stored.resource_id IS NOT DISTINCT FROM given."resourceId"
           AND stored.action IS NOT DISTINCT FROM given.action
           AND (stored.details IS NOT DISTINCT FROM given.details
                OR stored.details = coalesce(given.details, ''{}'')
                                    || jsonb_build_object(''unresolved_user_id'', given."userId"))
           AND stored.ip_address IS NOT DISTINCT FROM given."ipAddress"
           AND stored.status IS NOT DISTINCT FROM given.status
           AND stored.duration_ms IS NOT DISTINCT FROM given."durationMs"
           AND stored.created_by IS NOT DISTINCT FROM given."createdBy"
    FROM (
      SELECT event.*, row_number() OVER (ORDER BY batch, place) AS nth
      FROM ROWS FROM (jsonb_to_recordset($1) AS (events jsonb)) WITH ORDINALITY AS source (events, batch),
           ROWS FROM (
             jsonb_to_recordset(source.events) AS (
               id uuid, "eventType" text, "userId" uuid, "resourceType" text, "resourceId" uuid, action text,
               details jsonb, "ipAddress" inet, status text, "durationMs" integer, "createdBy" text
             )
           ) WITH ORDINALITY AS event (
             id, "eventType", "userId", "resourceType", "resourceId", action,
             details, "ipAddress", status, "durationMs", "createdBy", place
           )
    ) AS given
    JOIN public.audit_logs AS stored ON stored.created_at = $2[given.nth] AND stored.id = given.id
    WHERE stored.created_at BETWEEN $3 AND $4'
  USING batches, times, (SELECT min(t) FROM unnest(times) AS t), (SELECT max(t) FROM unnest(times) AS t);
END
$$;

REVOKE ALL ON FUNCTION ops.claim_ids(uuid[], timestamptz[]), ops.compare_events(jsonb, timestamptz[]) FROM PUBLIC;

DO $$
DECLARE
  role text;
BEGIN
  FOREACH role IN ARRAY ARRAY['ops_writer', 'ops_maintenance'] LOOP
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = role) THEN
      EXECUTE format(
        'GRANT EXECUTE ON FUNCTION ops.claim_ids(uuid[], timestamptz[]), ops.compare_events(jsonb, timestamptz[]) TO %I',
        role
      );
    END IF;
  END LOOP;
END
$$;

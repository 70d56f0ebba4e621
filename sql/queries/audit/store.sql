-- Stores a batch of events; an event stored before is not changed. An event of an unknown user is stored without
-- user_id, and details has the given one. Events come in groups, each with what the server knows of its sender.
WITH given AS MATERIALIZED (
  SELECT row_number() OVER (ORDER BY batch, place) AS place,
         id AS own_id,
         coalesce(id, gen_random_uuid()) AS id,
         "eventType" AS event_type,
         "userId" AS user_id,
         "resourceType" AS resource_type,
         "resourceId" AS resource_id,
         action,
         details,
         "ipAddress" AS ip_address,
         status,
         "durationMs" AS duration_ms,
         "createdAt" AS own_time,
         clock_timestamp() AS received_at,
         "createdBy" AS created_by,
         key_id,
         peer_address,
         origin
  FROM ROWS FROM (
    jsonb_to_recordset(%(events)s::jsonb) AS ("keyId" uuid, "peerAddress" inet, origin text, events jsonb)
  ) WITH ORDINALITY AS source (key_id, peer_address, origin, events, batch),
  ROWS FROM (
    jsonb_to_recordset(source.events) AS (
      id uuid, "eventType" text, "userId" uuid, "resourceType" text, "resourceId" uuid, action text,
      details jsonb, "ipAddress" inet, status text, "durationMs" integer, "createdAt" timestamptz,
      "createdBy" text
    )
  ) WITH ORDINALITY AS event (
    id, "eventType", "userId", "resourceType", "resourceId", action,
    details, "ipAddress", status, "durationMs", "createdAt",
    "createdBy", place
  )
),
-- The time that each given id belongs to. Importers have a namespace of their own, in which ids are never given twice.
receipts AS MATERIALIZED (
  SELECT id, created_at
  FROM ops.claim_ids(
    ARRAY(SELECT own_id FROM given WHERE own_id IS NOT NULL AND origin <> 'import' ORDER BY place),
    ARRAY(SELECT own_time FROM given WHERE own_id IS NOT NULL AND origin <> 'import' ORDER BY place)
  )
),
known AS (
  {known_users}
),
stored AS (
  INSERT INTO public.audit_logs (
    id, event_type, user_id, resource_type, resource_id, action,
    details, ip_address, status, duration_ms, created_at, created_by,
    received_at, key_id, peer_address, subject_id, origin
  )
  SELECT given.id, event_type, known.id, resource_type, resource_id, action,
         CASE WHEN known.id IS NULL AND user_id IS NOT NULL
              THEN coalesce(details, '{{}}') || jsonb_build_object('unresolved_user_id', user_id)
              ELSE details END,
         ip_address, status, duration_ms,
         coalesce(own_time, receipts.created_at, received_at) AS created_at, created_by,
         received_at, key_id, peer_address, user_id, origin
  FROM given
  LEFT JOIN receipts ON receipts.id = own_id AND origin <> 'import'
  LEFT JOIN known ON known.id = given.user_id
  -- An id with another time than its first event's is a conflict.
  WHERE own_time = receipts.created_at IS NOT FALSE
  ORDER BY created_at, given.id, place
  ON CONFLICT (created_at, id) DO NOTHING
  RETURNING id
),
counted AS (
  SELECT count(*) AS stored, count(*) = (SELECT count(*) FROM given) AS all_stored FROM stored
)
SELECT (SELECT array_agg(id ORDER BY place) FROM given) AS ids,
       stored,
       ARRAY(
         SELECT id FROM given WHERE event_type = 'llm_request' AND id IN (SELECT id FROM stored)
       ) AS new_llm_requests,
       -- Only when some were not stored, to compare them with what is: their times, and the places of conflicts.
       CASE WHEN NOT all_stored THEN ARRAY(
         SELECT coalesce(own_time, receipts.created_at, received_at)
         FROM given LEFT JOIN receipts ON receipts.id = own_id AND origin <> 'import'
         ORDER BY place
       ) END AS times,
       CASE WHEN NOT all_stored THEN ARRAY(
         SELECT place FROM given JOIN receipts ON receipts.id = own_id AND origin <> 'import'
         WHERE own_time <> receipts.created_at
       ) ELSE '{{}}' END AS with_other_times
FROM counted

-- Stores a batch of events; an event stored before is not changed. An event of an unknown user is stored without
-- user_id, and details has the given one.
WITH given AS MATERIALIZED (
  SELECT place,
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
         "createdBy" AS created_by
  FROM ROWS FROM (
    jsonb_to_recordset(%(events)s::jsonb) AS (
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
-- For an id without a time: the time that it got when it was first stored.
receipts AS MATERIALIZED (
  SELECT id, created_at
  FROM ops.claim_receipts(ARRAY(SELECT own_id FROM given WHERE own_id IS NOT NULL AND own_time IS NULL))
),
known AS (
  {known_users}
),
stored AS (
  INSERT INTO public.audit_logs (
    id, event_type, user_id, resource_type, resource_id, action,
    details, ip_address, status, duration_ms, created_at, created_by
  )
  SELECT given.id, event_type, known.id, resource_type, resource_id, action,
         CASE WHEN known.id IS NULL AND user_id IS NOT NULL
              THEN coalesce(details, '{{}}') || jsonb_build_object('unresolved_user_id', user_id)
              ELSE details END,
         ip_address, status, duration_ms,
         coalesce(own_time, receipts.created_at, received_at) AS created_at, created_by
  FROM given
  LEFT JOIN receipts ON receipts.id = own_id AND own_time IS NULL
  LEFT JOIN known ON known.id = given.user_id
  ORDER BY created_at, given.id
  ON CONFLICT (created_at, id) DO NOTHING
  RETURNING id
)
SELECT (SELECT array_agg(id ORDER BY place) FROM given) AS ids,
       (SELECT count(*) FROM stored) AS stored,
       ARRAY(
         SELECT id FROM given WHERE event_type = 'llm_request' AND id IN (SELECT id FROM stored)
       ) AS new_llm_requests

-- Stores a batch of events where user_id refers to users; an event stored before is left as it is.
-- A user nobody knows is no reason to refuse: the event is kept without it and details says whom it named.
WITH given AS MATERIALIZED (
  SELECT place,
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
         coalesce("createdAt", clock_timestamp()) AS created_at,
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
-- Locked as the foreign key's own check would, so that none is deleted between here and there.
known AS (
  SELECT id FROM public.users WHERE id IN (SELECT user_id FROM given) FOR KEY SHARE
),
stored AS (
  INSERT INTO public.audit_logs (
    id, event_type, user_id, resource_type, resource_id, action,
    details, ip_address, status, duration_ms, created_at, created_by
  )
  SELECT given.id, event_type, known.id, resource_type, resource_id, action,
         CASE WHEN known.id IS NULL AND user_id IS NOT NULL
              THEN coalesce(details, '{}') || jsonb_build_object('unresolved_user_id', user_id)
              ELSE details END,
         ip_address, status, duration_ms, created_at, created_by
  FROM given
  LEFT JOIN known ON known.id = given.user_id
  ON CONFLICT (created_at, id) DO NOTHING
  RETURNING id
)
SELECT (SELECT array_agg(id ORDER BY place) FROM given) AS ids,
       (SELECT count(*) FROM stored) AS stored

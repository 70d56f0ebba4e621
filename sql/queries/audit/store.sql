-- Stores a batch of events where user_id refers to nothing; an event stored before is left as it is.
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
stored AS (
  INSERT INTO public.audit_logs (
    id, event_type, user_id, resource_type, resource_id, action,
    details, ip_address, status, duration_ms, created_at, created_by
  )
  SELECT id, event_type, user_id, resource_type, resource_id, action,
         details, ip_address, status, duration_ms, created_at, created_by
  FROM given
  ON CONFLICT (created_at, id) DO NOTHING
  RETURNING id
)
SELECT (SELECT array_agg(id ORDER BY place) FROM given) AS ids,
       (SELECT count(*) FROM stored) AS stored

-- Stores events given as one JSON array; says how many were new.
WITH stored AS (
  INSERT INTO public.audit_logs (
    id, event_type, user_id, resource_type, resource_id, action, details, ip_address, status,
    duration_ms, created_at, created_by
  )
  SELECT coalesce(id, gen_random_uuid()), event_type, user_id, resource_type, resource_id, action, details,
         ip_address, status, duration_ms, coalesce(created_at, now()), created_by
  FROM jsonb_to_recordset(%(events)s::jsonb) AS given (
    id uuid, event_type text, user_id uuid, resource_type text, resource_id uuid, action text,
    details jsonb, ip_address inet, status text, duration_ms integer, created_at timestamptz,
    created_by text
  )
  ON CONFLICT (created_at, id) DO NOTHING
  RETURNING 1
)
SELECT count(*) FROM stored

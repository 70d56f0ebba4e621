-- Stores events given as one JSON array where they refer to users; says how many were new. A user who is
-- unknown is no reason to refuse an event: the id is kept in details instead.
WITH given AS (
  SELECT given.*, known.id AS known_user_id
  FROM jsonb_to_recordset(%(events)s::jsonb) AS given (
    id uuid, event_type text, user_id uuid, resource_type text, resource_id uuid, action text,
    details jsonb, ip_address inet, status text, duration_ms integer, created_at timestamptz,
    created_by text
  )
  LEFT JOIN public.users AS known ON known.id = given.user_id
), stored AS (
  INSERT INTO public.audit_logs (
    id, event_type, user_id, resource_type, resource_id, action, details, ip_address, status,
    duration_ms, created_at, created_by
  )
  SELECT coalesce(id, gen_random_uuid()), event_type, known_user_id, resource_type, resource_id, action,
         CASE WHEN user_id IS NOT NULL AND known_user_id IS NULL
              THEN coalesce(details, '{}') || jsonb_build_object('unresolved_user_id', user_id)
              ELSE details
         END,
         ip_address, status, duration_ms, coalesce(created_at, now()), created_by
  FROM given
  ON CONFLICT (created_at, id) DO NOTHING
  RETURNING 1
)
SELECT count(*) FROM stored

-- One event by its id, as JSON for the response; the id is only unique together with created_at.
SELECT row_to_json(event)::text
FROM (
  SELECT id, event_type, user_id, resource_type, resource_id, action,
         details, ip_address, status, duration_ms, created_at, created_by
  FROM public.audit_logs
  WHERE id = %(id)s
  ORDER BY created_at DESC
  LIMIT 1
) AS event

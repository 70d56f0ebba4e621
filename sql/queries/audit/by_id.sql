-- One event as JSON, by its id alone.
SELECT to_json(event)::text
FROM (
  SELECT id, event_type, user_id, resource_type, resource_id, action, details, ip_address, status,
         duration_ms, created_at, created_by
  FROM public.audit_logs
  WHERE id = %(id)s
  LIMIT 1
) AS event

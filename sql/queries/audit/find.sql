-- Events that fit every filter given, newest first; a filter that is NULL lets every event through.
SELECT id, event_type, user_id, resource_type, resource_id, action, details, ip_address, status,
       duration_ms, created_at, created_by
FROM public.audit_logs
WHERE (%(event_type)s::text IS NULL OR event_type = %(event_type)s)
  AND (%(user_id)s::uuid IS NULL OR user_id = %(user_id)s)
  AND (%(resource_type)s::text IS NULL OR resource_type = %(resource_type)s)
  AND (%(resource_id)s::uuid IS NULL OR resource_id = %(resource_id)s)
  AND (%(action)s::text IS NULL OR action = %(action)s)
  AND (%(status)s::text IS NULL OR status = %(status)s)
  AND (%(start)s::timestamptz IS NULL OR created_at >= %(start)s)
  AND (%(end)s::timestamptz IS NULL OR created_at <= %(end)s)
ORDER BY created_at DESC, id DESC
LIMIT %(limit)s OFFSET %(offset)s

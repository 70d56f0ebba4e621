-- All matching events, newest first, each as a line of the export.
SELECT {columns}
FROM (
  SELECT {line} AS line, created_at, id
  FROM (
    SELECT id, event_type, user_id, resource_type, resource_id, action,
           details, ip_address, status, duration_ms, created_at, created_by
    FROM public.audit_logs
    WHERE {condition}
    ORDER BY created_at DESC, id DESC
  ) AS event
) AS exported

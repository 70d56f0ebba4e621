-- All matching events, newest first, each as a line of the export.
SELECT {columns}
FROM (
  SELECT {line} AS line, created_at, id
  FROM (
    SELECT {event}
    FROM public.audit_logs
    WHERE {condition}
    ORDER BY created_at DESC, id DESC
  ) AS event
) AS exported

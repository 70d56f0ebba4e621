-- Every event that matches, newest first, each as a line of CSV (RFC 4180). A text that a spreadsheet would
-- take for a formula gets a single quote in front; the other columns cannot hold one.
SELECT {columns}
FROM (
  SELECT concat_ws(
           ',',
           id::text,
           CASE WHEN event_type IS NULL THEN '' ELSE
             '"' || CASE WHEN left(event_type, 1) IN ('=', '+', '-', '@', E'\t', E'\r') THEN '''' ELSE '' END
             || replace(event_type, '"', '""') || '"' END,
           coalesce(user_id::text, ''),
           CASE WHEN resource_type IS NULL THEN '' ELSE
             '"' || CASE WHEN left(resource_type, 1) IN ('=', '+', '-', '@', E'\t', E'\r') THEN '''' ELSE '' END
             || replace(resource_type, '"', '""') || '"' END,
           coalesce(resource_id::text, ''),
           CASE WHEN action IS NULL THEN '' ELSE
             '"' || CASE WHEN left(action, 1) IN ('=', '+', '-', '@', E'\t', E'\r') THEN '''' ELSE '' END
             || replace(action, '"', '""') || '"' END,
           CASE WHEN details IS NULL THEN '' ELSE
             '"' || CASE WHEN left(details::text, 1) IN ('=', '+', '-', '@', E'\t', E'\r') THEN '''' ELSE '' END
             || replace(details::text, '"', '""') || '"' END,
           coalesce(ip_address::text, ''),
           coalesce(status::text, ''),
           coalesce(duration_ms::text, ''),
           to_json(created_at)#>>'{{}}',
           CASE WHEN created_by IS NULL THEN '' ELSE
             '"' || CASE WHEN left(created_by, 1) IN ('=', '+', '-', '@', E'\t', E'\r') THEN '''' ELSE '' END
             || replace(created_by, '"', '""') || '"' END
         ) AS line,
         created_at, id
  FROM (
    SELECT id, event_type, user_id, resource_type, resource_id, action,
           details, ip_address, status, duration_ms, created_at, created_by
    FROM public.audit_logs
    WHERE {condition}
    ORDER BY created_at DESC, id DESC
  ) AS event
) AS exported

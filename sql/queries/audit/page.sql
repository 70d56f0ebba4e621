-- One page of events, newest first, as a JSON array for the response; its length; and the position of the next
-- page, if there is one: one event more than the page is read to find out.
WITH matching AS MATERIALIZED (
  SELECT id, event_type, user_id, resource_type, resource_id, action,
         details, ip_address, status, duration_ms, created_at, created_by
  FROM public.audit_logs
  WHERE {condition}
  ORDER BY created_at DESC, id DESC
  LIMIT {limit} + 1
  OFFSET {offset}
),
page AS MATERIALIZED (
  SELECT * FROM matching LIMIT {limit}
),
final AS (
  SELECT created_at, id FROM page
  WHERE (SELECT count(*) FROM matching) > {limit}
  ORDER BY created_at, id
  LIMIT 1
)
SELECT (SELECT coalesce(json_agg(page), '[]')::text FROM page) AS data,
       (SELECT count(*) FROM page) AS count,
       (SELECT created_at FROM final) AS last_time,
       (SELECT id FROM final) AS last_id

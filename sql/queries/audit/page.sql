-- One page of events, newest first, as a JSON array for the response; its length; the position of its last event; and
-- whether another event follows: one event more than the page is read to find out. A page ends early when it has 16 MiB of
-- details, and has details above 8 MiB only as their size.
WITH matching AS MATERIALIZED (
  SELECT id, event_type, user_id, resource_type, resource_id, action,
         details, ip_address, status, duration_ms, created_at, created_by,
         received_at, key_id, peer_address, subject_id, origin
  FROM public.audit_logs
  WHERE {condition}
  ORDER BY created_at DESC, id DESC
  LIMIT {limit} + 1
  OFFSET {offset}
),
measured AS (
  SELECT *,
         CASE WHEN pg_column_size(details) > 2000 OR pg_column_compression(details) IS NOT NULL
              THEN octet_length(details::text) ELSE 0 END AS bytes
  FROM matching
  LIMIT {limit}
),
placed AS (
  SELECT *, sum(CASE WHEN bytes <= 8388608 THEN bytes END) OVER (ROWS UNBOUNDED PRECEDING) AS bytes_so_far
  FROM measured
),
page AS MATERIALIZED (
  SELECT id, event_type, user_id, resource_type, resource_id, action,
         CASE WHEN bytes > 8388608 THEN jsonb_build_object('_omitted_bytes', bytes) ELSE details END AS details,
         ip_address, status, duration_ms, created_at, created_by,
         received_at, key_id, peer_address, subject_id, origin
  FROM placed
  WHERE bytes_so_far IS NULL OR bytes_so_far - bytes < 16777216
),
final AS (
  SELECT created_at, id FROM page
  ORDER BY created_at, id
  LIMIT 1
)
SELECT (SELECT coalesce(json_agg(page), '[]')::text FROM page) AS data,
       (SELECT count(*) FROM page) AS count,
       (SELECT created_at FROM final) AS last_time,
       (SELECT id FROM final) AS last_id,
       (SELECT count(*) FROM matching) > (SELECT count(*) FROM page) AS more

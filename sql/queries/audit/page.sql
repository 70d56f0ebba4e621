-- One page of events, newest first, as the JSON array that is sent; its length; whether more follow.
WITH page AS (
  SELECT id, event_type, user_id, resource_type, resource_id, action,
         details, ip_address, status, duration_ms, created_at, created_by
  FROM public.audit_logs
  WHERE (%(event_type)s::text IS NULL OR event_type = %(event_type)s)
    AND (%(user_id)s::uuid IS NULL OR user_id = %(user_id)s)
    AND (%(resource_type)s::text IS NULL OR resource_type = %(resource_type)s)
    AND (%(resource_id)s::uuid IS NULL OR resource_id = %(resource_id)s)
    AND (%(action)s::text IS NULL OR action = %(action)s)
    AND (%(status)s::text IS NULL OR status = %(status)s)
    AND (%(start_date)s::timestamptz IS NULL OR created_at >= %(start_date)s)
    AND (%(end_date)s::timestamptz IS NULL OR created_at <= %(end_date)s)
  ORDER BY created_at DESC, id DESC
  LIMIT %(limit)s::bigint + 1
  OFFSET %(offset)s::bigint
),
numbered AS (
  SELECT row_to_json(page) AS event, row_number() OVER (ORDER BY created_at DESC, id DESC) AS place
  FROM page
)
SELECT coalesce(json_agg(event ORDER BY place) FILTER (WHERE place <= %(limit)s), '[]')::text AS data,
       least(count(*), %(limit)s) AS count,
       count(*) > %(limit)s AS more
FROM numbered

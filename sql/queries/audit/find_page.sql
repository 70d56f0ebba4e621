-- A page of events that fit every filter given, newest first, as one JSON array; how many; whether more
-- follow. One row more than asked for is looked at to know.
SELECT coalesce(json_agg(body ORDER BY place) FILTER (WHERE place <= %(limit)s), '[]')::text,
       least(count(*), %(limit)s),
       count(*) > %(limit)s
FROM (
  SELECT to_json(event) AS body, row_number() OVER (ORDER BY created_at DESC, id DESC) AS place
  FROM (
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
    LIMIT %(limit)s + 1 OFFSET %(offset)s
  ) AS event
) AS placed

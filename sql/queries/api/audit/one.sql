-- The events with an id, newest first, as a JSON array for the response, and their number. An id is only unique among
-- the events of 24 hours, and together with created_at; a hundred are enough to see that.
SELECT coalesce(json_agg(event), '[]')::text, count(*)
FROM (
  SELECT {event}
  FROM public.audit_logs
  WHERE id = %(id)s
  ORDER BY created_at DESC
  LIMIT 100
) AS event

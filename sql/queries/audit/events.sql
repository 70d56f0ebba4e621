-- Those of the given events that match, as JSON for the response, each with its number among the given ones.
-- Their period excludes the partitions of other days from the plan.
SELECT named.number, row_to_json(event)::text
FROM (
  SELECT {event}
  FROM public.audit_logs
  WHERE created_at BETWEEN %(oldest)s AND %(newest)s
    AND id = ANY (%(ids)s)
    AND {condition}
) AS event
JOIN unnest(%(created_ats)s::timestamptz[], %(ids)s::uuid[]) WITH ORDINALITY AS named (moment, key, number)
  ON event.created_at = named.moment AND event.id = named.key
ORDER BY named.number

-- The given events as JSON, by their numbers, as far as they fit together into a number of bytes; of the others the
-- number only. The first is always returned. An event that was deleted meanwhile is missing. Each is looked up by its
-- key, whatever the planner expects; their period excludes the partitions of other days from the plan.
SELECT number, CASE WHEN sum(bytes) OVER numbers <= %(bytes)s OR row_number() OVER numbers = 1 THEN line END
FROM (
  SELECT number, line, octet_length(line) + 1 AS bytes
  FROM unnest(%(created_ats)s::timestamptz[], %(ids)s::uuid[]) WITH ORDINALITY AS named (moment, key, number)
  CROSS JOIN LATERAL (
    SELECT row_to_json(event)::text AS line
    FROM (
      SELECT {event}
      FROM public.audit_logs
      WHERE created_at BETWEEN %(oldest)s::timestamptz AND %(newest)s::timestamptz
        AND created_at = named.moment AND id = named.key
      LIMIT 1
    ) AS event
  ) AS found
) AS measured
WINDOW numbers AS (ORDER BY number)
ORDER BY number

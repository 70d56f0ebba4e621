-- The events of the log that arrived at a time or later, by their own time, after the given one, as far as they fit
-- together into a number of bytes; of the others NULL. Of events from before arrivals were recorded, their own time
-- counts. Times are text, because they may be infinite.
SELECT created_at::text, id, CASE WHEN sum(bytes) OVER places <= %(bytes)s OR row_number() OVER places = 1 THEN line END
FROM (
  SELECT created_at, id, line, octet_length(line) + 1 AS bytes
  FROM (
    SELECT created_at, id, row_to_json(event)::text AS line
    FROM (
      SELECT {event}
      FROM public.audit_logs
      WHERE created_at >= %(created_at)s::timestamptz
        AND (created_at, id) > (%(created_at)s::timestamptz, %(id)s::uuid)
        AND coalesce(received_at, created_at) >= %(since)s
      ORDER BY created_at, id
      LIMIT %(limit)s
    ) AS event
  ) AS lines
) AS measured
WINDOW places AS (ORDER BY created_at, id)
ORDER BY measured.created_at, measured.id

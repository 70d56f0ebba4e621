-- The number of events in each time bucket, and for each value of a column. Only the 20 most frequent values are
-- counted separately; the bucket's total includes the others.
WITH counted AS (
  SELECT date_bin(%(width)s::interval, created_at, '1970-01-01T00:00Z'::timestamptz) AS bucket,
         {column} AS value,
         count(*) AS events
  FROM public.audit_logs
  WHERE {condition}
  GROUP BY 1, 2
),
ranked AS (
  SELECT value, row_number() OVER (ORDER BY sum(events) DESC, value) AS place
  FROM counted
  GROUP BY value
),
stretches AS (
  SELECT bucket,
         sum(events) AS total,
         json_agg(json_build_object('value', counted.value, 'count', events) ORDER BY place)
           FILTER (WHERE place <= 20) AS counts
  FROM counted
  JOIN ranked ON counted.value IS NOT DISTINCT FROM ranked.value
  GROUP BY bucket
)
SELECT coalesce(
         json_agg(
           json_build_object('bucket', bucket, 'total', total, 'counts', coalesce(counts, '[]'))
           ORDER BY bucket
         ),
         '[]'
       )::text AS data,
       count(*) AS count
FROM stretches

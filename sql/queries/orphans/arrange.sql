-- Lists the missing parents that a sweep has found again, in the order in which their children lie in the table,
-- so that a removal reads each block about once, however the keys are sorted.
WITH found AS (
  DELETE FROM ops.missing_parents WHERE policy = %(policy)s AND source = 'sweep' AND heap IS NULL
  RETURNING keys, since
), placed AS (
  SELECT {keys}, missing.since,
         (SELECT doomed.ctid FROM {child} AS doomed WHERE {same_key} LIMIT 1) AS place,
         (SELECT count(*) FROM {child} AS doomed WHERE {same_key}) AS rows
  FROM found AS missing
  CROSS JOIN LATERAL unnest({arrays}) AS key ({keys})
), parted AS (
  SELECT *, (sum(rows) OVER (ORDER BY place ROWS UNBOUNDED PRECEDING) - 1)::bigint / 2000 AS part FROM placed
)
INSERT INTO ops.missing_parents (policy, source, keys, rows, since)
SELECT %(policy)s, 'sweep', ARRAY[{gathered}], sum(rows), max(since)
FROM parted
GROUP BY part
ORDER BY part

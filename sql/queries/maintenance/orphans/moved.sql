-- Lists the parents of marked orphans once more where an index still finds children: updated rows have other ctids.
-- They keep the time since which they have been missing.
WITH marked AS (
  DELETE FROM ops.missing_parents AS missing WHERE policy = %(policy)s AND {listed} RETURNING keys, since
), key AS (
  SELECT {keys}, max(missing.since) AS since
  FROM marked AS missing
  CROSS JOIN LATERAL unnest({arrays}) AS key ({keys})
  GROUP BY {keys}
), counted AS (
  SELECT {keys}, key.since, (SELECT count(*) FROM {child} AS target WHERE {same_key}) AS rows
  FROM key
  WHERE {key_missing}
), parted AS (
  SELECT *, (sum(rows) OVER (ROWS UNBOUNDED PRECEDING) - 1)::bigint / 1000 AS part FROM counted WHERE rows > 0
)
INSERT INTO ops.missing_parents (policy, source, keys, rows, since)
SELECT %(policy)s, 'sweep', ARRAY[{gathered}], sum(rows), max(since)
FROM parted
GROUP BY part
ORDER BY part

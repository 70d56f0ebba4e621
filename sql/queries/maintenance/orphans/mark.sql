-- Lists the orphans of a range, about 1,000 a row: their missing parents, and their ctids.
WITH listed AS (
  INSERT INTO ops.missing_parents (policy, source, keys, rows, heap, places)
  SELECT %(policy)s, 'sweep', ARRAY[{keys}], count(*), %(heap)s, array_agg(place)
  FROM (SELECT *, (row_number() OVER () - 1) / 1000 AS part FROM ({orphaned}) AS found) AS numbered
  GROUP BY part
  ORDER BY part
  RETURNING rows
)
SELECT coalesce(sum(rows), 0)::bigint FROM listed

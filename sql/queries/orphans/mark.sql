-- Lists the missing parents that the orphans of a window refer to, and how many do: about 2,000 orphans a row.
WITH missing AS (
  SELECT {keys_of_row}, count(*) AS rows,
         (sum(count(*)) OVER (ROWS UNBOUNDED PRECEDING) - 1)::bigint / 2000 AS part
  FROM {heap} AS doomed
  WHERE {condition}
  GROUP BY {grouped}
), listed AS (
  INSERT INTO ops.missing_parents (policy, source, keys, rows, heap, first_block, end_block)
  SELECT %(policy)s, 'sweep', ARRAY[{arrays}], sum(rows), %(heap)s, %(first_block)s, %(end_block)s
  FROM missing
  GROUP BY part
  ORDER BY part
  RETURNING rows
)
SELECT coalesce(sum(rows), 0)::bigint FROM listed

-- What happens to each row, by partition: its reference is NULL (null), its parent exists (young), it is on hold
-- (on_hold), a kept row refers to it (referenced), or it is deleted. Rows that are not orphans are counted as the rest,
-- because one join finds the missing parents fastest.
WITH fates AS (
  SELECT target.tableoid::bigint AS heap,
         CASE WHEN NOT ({unheld}) THEN 'on_hold'
              WHEN NOT ({unreferenced}) THEN 'referenced'
              ELSE 'deleted' END AS fate,
         count(*) AS rows
  FROM {rows}
  WHERE {orphaned}
  GROUP BY 1, 2
), counted AS (
  SELECT target.tableoid::bigint AS heap, count(*) AS rows,
         count(*) FILTER (WHERE {null}) AS nulls
  FROM {rows}
  GROUP BY 1
)
SELECT heap, fate, rows, NULL, NULL FROM fates
UNION ALL
SELECT heap, 'null', nulls, NULL, NULL FROM counted WHERE nulls > 0
UNION ALL
SELECT heap, 'young', counted.rows - nulls - coalesce(sum(fates.rows), 0)::bigint, NULL, NULL
FROM counted LEFT JOIN fates USING (heap)
GROUP BY heap, counted.rows, nulls

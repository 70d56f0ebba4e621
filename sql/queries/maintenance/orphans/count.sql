-- What happens to each row, by partition: its reference is NULL (unset), its parent exists (young), it is on hold
-- (held), a kept row refers to it (referenced), or it is deleted. Rows that are not orphans are counted as the rest,
-- because one join finds the missing parents fastest.
WITH fates AS (
  SELECT target.tableoid::bigint AS heap,
         CASE WHEN NOT ({unheld}) THEN 'held'
              WHEN NOT ({unreferenced}) THEN 'referenced'
              ELSE 'deleted' END AS fate,
         count(*) AS rows
  FROM {rows}
  WHERE {orphaned}
  GROUP BY 1, 2
), counted AS (
  SELECT target.tableoid::bigint AS heap, count(*) AS rows,
         count(*) FILTER (WHERE {unset}) AS unset
  FROM {rows}
  GROUP BY 1
)
SELECT heap, fate, rows, NULL, NULL FROM fates
UNION ALL
SELECT heap, 'unset', unset, NULL, NULL FROM counted WHERE unset > 0
UNION ALL
SELECT heap, 'young', counted.rows - unset - coalesce(sum(fates.rows), 0)::bigint, NULL, NULL
FROM counted LEFT JOIN fates USING (heap)
GROUP BY heap, counted.rows, unset

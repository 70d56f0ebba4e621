-- A range's orphans in the order of their ctids, each parent that it refers to looked up once, whatever the number
-- of parents.
SELECT {keys}, place
FROM (
  SELECT {keys_of_row}, array_agg(target.ctid) AS places
  FROM {heap} AS target
  WHERE {range}
  GROUP BY {grouped}
) AS key
CROSS JOIN LATERAL unnest(key.places) AS place
WHERE {key_missing}
ORDER BY place

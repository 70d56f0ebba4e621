-- How many rows with recorded changes differ between the two tables.
WITH o AS (
  SELECT {values} FROM ONLY {old} AS t WHERE ({keys_of_t}) IN (SELECT {keys} FROM {changes} WHERE place = ANY (%(places)s))
), n AS (
  SELECT {columns_of_t} FROM {new} AS t
  WHERE ({keys_of_t}) IN (SELECT {keys} FROM {changes} WHERE place = ANY (%(places)s))
)
SELECT count(*) FROM (
  SELECT o::text FROM o EXCEPT ALL SELECT n::text FROM n
  UNION ALL
  (SELECT n::text FROM n EXCEPT ALL SELECT o::text FROM o)
) AS differing

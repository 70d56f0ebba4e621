-- A range of primary keys in both tables, in one snapshot: how many rows, whether their number and content are equal
-- in any order, and how many have no time. Rows with a recorded change are left out: they are applied later, and
-- compared then.
WITH o AS (
  SELECT count(*) AS rows, sum(hashtextextended(ROW({values})::text, 0)::numeric) AS content,
         count(*) FILTER (WHERE t.{column} IS NULL) AS unset
  FROM ONLY {old} AS t WHERE {range} AND NOT EXISTS (SELECT FROM {changes} AS c WHERE {same_as_t})
), n AS (
  SELECT count(*) AS rows, sum(hashtextextended(ROW({columns_of_t})::text, 0)::numeric) AS content
  FROM {new} AS t WHERE {range} AND NOT EXISTS (SELECT FROM {changes} AS c WHERE {same_as_t})
)
SELECT o.rows, n.rows, o.content IS NOT DISTINCT FROM n.content, o.unset FROM o, n

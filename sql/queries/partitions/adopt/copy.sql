-- Copies the rows that follow a place in the primary key; says how many it looked at, and the last one's key.
-- A row that is there already was brought by a change.
WITH batch AS (
  SELECT * FROM ONLY {old} AS t WHERE {after} ORDER BY {order} LIMIT %(size)s
), copied AS (
  INSERT INTO {new} ({columns}) OVERRIDING SYSTEM VALUE
  SELECT {values} FROM batch AS t WHERE t.{column} IS NOT NULL
  ON CONFLICT DO NOTHING
)
SELECT (SELECT count(*) FROM batch), (SELECT jsonb_build_array({last}) FROM batch AS t ORDER BY {descending} LIMIT 1)

-- Copies the rows whose primary key is greater than a position; returns how many it read, and the last one's key. A
-- row that already exists was inserted by a change.
WITH batch AS (
  SELECT * FROM ONLY {old} AS t WHERE {after} ORDER BY {order} LIMIT %(size)s
), copied AS (
  INSERT INTO {new} ({columns}) OVERRIDING SYSTEM VALUE
  SELECT {values} FROM batch AS t WHERE t.{column} IS NOT NULL
  ON CONFLICT DO NOTHING
)
SELECT (SELECT count(*) FROM batch), (SELECT jsonb_build_array({last}) FROM batch AS t ORDER BY {descending} LIMIT 1)

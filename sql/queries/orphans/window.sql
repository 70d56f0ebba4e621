-- The next window of children in key order: how many rows, and the key of its last.
WITH windowed AS MATERIALIZED (
  SELECT ARRAY[{key_texts}] AS key, row_number() OVER (ORDER BY {keys}) AS place
  FROM {child}
  WHERE {bounds}
  ORDER BY {keys}
  LIMIT %(size)s
)
SELECT (SELECT count(*) FROM windowed), (SELECT key FROM windowed ORDER BY place DESC LIMIT 1)

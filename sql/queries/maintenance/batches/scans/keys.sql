-- The next range in the order of a key: how many rows, and the key of its last row, each column as text.
WITH ranged AS MATERIALIZED (
  SELECT ARRAY[{key_texts}] AS key, row_number() OVER (ORDER BY {key}) AS place
  FROM {table} AS target
  WHERE {condition}
  ORDER BY {key}
  LIMIT %(size)s
)
SELECT (SELECT count(*) FROM ranged), (SELECT key FROM ranged ORDER BY place DESC LIMIT 1)

-- The next window of children in key order: how many rows, and the key of its last.
SELECT count(*), (array_agg(key ORDER BY place DESC))[1]
FROM (
  SELECT ARRAY[{key_texts}] AS key, row_number() OVER (ORDER BY {keys}) AS place
  FROM {child}
  WHERE {bounds}
  ORDER BY {keys}
  LIMIT %(size)s
) AS windowed

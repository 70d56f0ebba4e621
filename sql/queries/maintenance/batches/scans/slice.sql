-- The next time slice: about how many rows it has, and the time of its last row, as text.
SELECT count(*), max(slice.at)::text
FROM (
  SELECT {column} AS at FROM {table} AS target WHERE {condition} ORDER BY {column} LIMIT %(size)s
) AS slice

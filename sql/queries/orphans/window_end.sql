-- Where the next window over the references ends: at the row that many further on, or at the last one.
SELECT coalesce(
  (SELECT ARRAY[{texts}] FROM {table} AS doomed WHERE {condition} ORDER BY {key} OFFSET %(size)s - 1 LIMIT 1),
  (SELECT ARRAY[{texts}] FROM {table} AS doomed WHERE {condition} ORDER BY {descending} LIMIT 1)
)

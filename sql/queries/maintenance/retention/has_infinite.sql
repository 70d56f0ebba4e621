-- Whether the table has a row without a time, or with one that is infinite: it never expires.
SELECT EXISTS (
  SELECT FROM {table} WHERE {column} IN ('-infinity', 'infinity') OR {column} IS NULL
)

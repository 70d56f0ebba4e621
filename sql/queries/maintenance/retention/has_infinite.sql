-- Whether the table has a row whose time is NULL or infinite, which never expires.
SELECT EXISTS (
  SELECT FROM {table} WHERE {column} IN ('-infinity', 'infinity') OR {column} IS NULL
)

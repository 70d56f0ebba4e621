-- The oldest row a table holds. A time that is no moment (-infinity) is none.
SELECT min({column}) FROM {table} WHERE {column} > '-infinity'

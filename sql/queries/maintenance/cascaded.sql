-- How many rows of a table foreign keys delete or change along.
SELECT count(*) FROM {table} AS {alias} WHERE {condition}

-- How many rows of a table foreign keys delete or change by cascade.
SELECT count(*) FROM {table} AS {alias} WHERE {condition}

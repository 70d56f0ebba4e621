-- How many rows of a table are deleted along, counted no further than that many.
SELECT count(*) FROM (SELECT FROM {table} AS {alias} WHERE {condition} LIMIT {most}) AS cascaded

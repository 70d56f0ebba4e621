-- How many rows PostgreSQL expects the table to have, by its statistics and size; reads none.
EXPLAIN (FORMAT JSON) SELECT FROM {table}

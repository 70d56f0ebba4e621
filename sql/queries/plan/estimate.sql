-- How many rows PostgreSQL expects, by its statistics; reads none.
EXPLAIN (FORMAT JSON) SELECT FROM {table} AS doomed WHERE {condition}

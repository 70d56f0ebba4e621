-- The planner's estimate of the table's rows, from statistics and size; reads no rows.
EXPLAIN (FORMAT JSON) SELECT FROM {table}

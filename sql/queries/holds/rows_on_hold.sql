-- How many of the rows that a policy would remove somebody holds.
SELECT count(*) FROM {table} AS target WHERE ({condition}) AND NOT ({exclusion})

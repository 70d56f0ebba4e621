-- How many of the rows that a policy would delete are on hold.
SELECT count(*) FROM {table} AS target WHERE ({condition}) AND NOT ({exclusion})

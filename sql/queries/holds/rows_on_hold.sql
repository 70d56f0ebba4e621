-- How many of the rows that a policy would remove somebody holds.
SELECT count(*) FROM {table} AS doomed WHERE ({condition}) AND NOT ({exclusion})

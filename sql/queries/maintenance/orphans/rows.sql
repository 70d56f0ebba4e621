-- How many children meet a condition.
SELECT count(*) FROM {child} AS doomed WHERE {condition}

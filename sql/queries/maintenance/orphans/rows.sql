-- How many children meet a condition.
SELECT count(*) FROM {child} AS target WHERE {condition}

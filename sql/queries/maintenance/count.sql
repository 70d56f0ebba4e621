-- How many rows meet a condition.
SELECT count(*) FROM {rows} WHERE {condition}

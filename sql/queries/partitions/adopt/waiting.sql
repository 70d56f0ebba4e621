-- How many changes are not applied yet.
SELECT count(*) FROM {changes}

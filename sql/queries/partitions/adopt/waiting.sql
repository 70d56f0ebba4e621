-- How many changes are still to be brought over.
SELECT count(*) FROM {changes}

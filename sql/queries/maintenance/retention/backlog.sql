-- How many expired rows are still there.
SELECT count(*) FROM {rows} WHERE {expired}

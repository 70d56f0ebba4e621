-- How many expired rows remain.
SELECT count(*) FROM {rows} WHERE {expired}

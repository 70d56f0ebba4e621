-- The prepared transactions of this database that are older, the oldest first: which, for how many seconds, and the
-- statements that end it.
SELECT format('prepared transaction %%L (user %%s)', gid, owner),
       extract(epoch FROM clock_timestamp() - prepared)::float8,
       ARRAY[format('ROLLBACK PREPARED %%L;', gid), format('COMMIT PREPARED %%L;', gid)]
FROM pg_prepared_xacts
WHERE database = current_database() AND prepared < clock_timestamp() - make_interval(secs => %(seconds)s)
ORDER BY prepared

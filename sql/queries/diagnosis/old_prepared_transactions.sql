-- The prepared transactions of this database that are older, the oldest first: which, for how many seconds, and the
-- statements that end it, one of which its owner must choose.
SELECT format('prepared transaction %%L (user %%s)', gid, owner),
       extract(epoch FROM clock_timestamp() - prepared)::float8,
       ARRAY[format('-- if its owner says so: COMMIT PREPARED %%L;', gid), format('-- or: ROLLBACK PREPARED %%L;', gid)]
FROM pg_prepared_xacts
WHERE database = current_database() AND prepared < clock_timestamp() - make_interval(secs => %(seconds)s)
ORDER BY prepared

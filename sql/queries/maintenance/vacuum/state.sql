-- What VACUUM is about to change in a table, including its TOAST table: dead rows, bytes of it and of its indexes, and
-- how many transactions and multixacts ago its oldest row was written.
SELECT pg_stat_get_live_tuples(c.oid), pg_stat_get_dead_tuples(c.oid),
       coalesce(pg_stat_get_live_tuples(t.oid), 0), coalesce(pg_stat_get_dead_tuples(t.oid), 0),
       pg_table_size(c.oid), pg_indexes_size(c.oid),
       CASE WHEN c.relkind <> 'p' THEN greatest(age(c.relfrozenxid), age(t.relfrozenxid)) ELSE 0 END,
       CASE WHEN c.relkind <> 'p' THEN greatest(mxid_age(c.relminmxid), mxid_age(t.relminmxid)) ELSE 0 END
FROM pg_class c
LEFT JOIN pg_class t ON t.oid = c.reltoastrelid
WHERE c.oid = %(oid)s

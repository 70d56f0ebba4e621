-- What VACUUM is about to change of a table, its TOAST table included: dead rows, bytes of it and of its indexes,
-- and how many transactions and multixacts ago its oldest row was written.
SELECT coalesce(s.n_live_tup, 0), coalesce(s.n_dead_tup, 0),
       coalesce(ts.n_live_tup, 0), coalesce(ts.n_dead_tup, 0),
       pg_table_size(c.oid), pg_indexes_size(c.oid),
       CASE WHEN c.relkind <> 'p' THEN greatest(age(c.relfrozenxid), age(t.relfrozenxid)) ELSE 0 END,
       CASE WHEN c.relkind <> 'p' THEN greatest(mxid_age(c.relminmxid), mxid_age(t.relminmxid)) ELSE 0 END
FROM pg_class c
LEFT JOIN pg_class t ON t.oid = c.reltoastrelid
LEFT JOIN pg_stat_all_tables s ON s.relid = c.oid
LEFT JOIN pg_stat_all_tables ts ON ts.relid = t.oid
WHERE c.oid = %(oid)s

-- A table's bytes, rows, free bytes and bytes of dead rows, by pgstattuple, which does not read pages that are
-- all-visible.
SELECT table_len, approx_tuple_count, approx_free_space, dead_tuple_len
FROM {schema}.pgstattuple_approx(%(oid)s::oid::regclass)

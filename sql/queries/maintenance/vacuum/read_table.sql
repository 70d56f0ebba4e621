-- A table's bytes, rows, free bytes and those of dead rows, as pgstattuple finds them; pages on which every row is
-- visible to everybody are not read.
SELECT table_len, approx_tuple_count, approx_free_space, dead_tuple_len
FROM {schema}.pgstattuple_approx(%(oid)s::oid::regclass)

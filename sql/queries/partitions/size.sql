-- A table's rows, by the statistics, and its bytes with indexes and TOAST.
SELECT coalesce(nullif(s.n_live_tup, 0), greatest(c.reltuples, 0)::bigint), pg_total_relation_size(c.oid)
FROM pg_class c
LEFT JOIN pg_stat_all_tables s ON s.relid = c.oid
WHERE c.oid = %(oid)s

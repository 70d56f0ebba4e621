-- Whether the table is partitioned or not an ordinary table, its size with indexes, and its rows by the statistics.
SELECT relkind = 'p', relispartition, pg_total_relation_size(oid), greatest(reltuples, 0)::bigint
FROM pg_class
WHERE oid = %(table)s

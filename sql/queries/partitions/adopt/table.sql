-- Whether the table is partitioned, the table that it is a partition of (NULL: none), its size with indexes, and its
-- rows by the statistics.
SELECT relkind = 'p',
       (SELECT inhparent::regclass::text FROM pg_inherits WHERE inhrelid = pg_class.oid AND relispartition),
       pg_total_relation_size(oid), greatest(reltuples, 0)::bigint
FROM pg_class
WHERE oid = %(table)s

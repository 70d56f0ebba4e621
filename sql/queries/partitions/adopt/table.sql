-- Whether the table is partitioned, the table that it is a partition of (NULL: none), its size with indexes, and its
-- rows by the statistics.
SELECT c.relkind = 'p',
       (SELECT format('%%I.%%I', n.nspname, p.relname)
        FROM pg_inherits
        JOIN pg_class p ON p.oid = inhparent
        JOIN pg_namespace n ON n.oid = p.relnamespace
        WHERE inhrelid = c.oid AND c.relispartition),
       pg_total_relation_size(c.oid), greatest(c.reltuples, 0)::bigint
FROM pg_class c
WHERE c.oid = %(table)s

-- Of each of these tables that is partitioned: its partitions, the locks of a read of all of them (each partition and
-- each of its indexes), max_locks_per_transaction, and for how many transactions the lock table has room
-- (PostgreSQL's documentation, "Lock Management").
SELECT t.oid, count(*) FILTER (WHERE p.isleaf), count(*) + sum(coalesce(i.number, 0)),
       current_setting('max_locks_per_transaction')::integer,
       current_setting('max_connections')::integer + current_setting('max_prepared_transactions')::integer
FROM unnest(%(tables)s::oid[]) AS t (oid)
JOIN pg_class c ON c.oid = t.oid AND c.relkind = 'p'
CROSS JOIN LATERAL pg_partition_tree(t.oid) AS p
LEFT JOIN LATERAL (SELECT count(*) AS number FROM pg_index WHERE indrelid = p.relid) AS i ON true
GROUP BY t.oid
ORDER BY t.oid

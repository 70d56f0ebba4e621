-- How many rows this session has inserted into these tables and their partitions since it last reported its
-- statistics.
SELECT coalesce(sum(pg_stat_get_xact_tuples_inserted(heap.oid)), 0)::bigint
FROM unnest(%(tables)s::bigint[]) AS wanted (oid)
CROSS JOIN LATERAL (SELECT relid FROM pg_partition_tree(wanted.oid::oid) UNION SELECT wanted.oid::oid) AS heap (oid)

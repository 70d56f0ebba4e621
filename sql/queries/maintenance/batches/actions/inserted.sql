-- How many rows this session has inserted into a table and its partitions since the server last had its statistics.
SELECT coalesce(sum(pg_stat_get_xact_tuples_inserted(heap.oid)), 0)::bigint
FROM (SELECT relid FROM pg_partition_tree(%(oid)s) UNION SELECT %(oid)s) AS heap (oid)

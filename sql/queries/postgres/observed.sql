-- Live and dead rows of a table with its partitions, from statistics, and bytes with indexes and TOAST.
SELECT coalesce(sum(pg_stat_get_live_tuples(member)), 0)::bigint,
       coalesce(sum(pg_stat_get_dead_tuples(member)), 0)::bigint,
       coalesce(sum(pg_total_relation_size(member)), 0)::bigint
FROM (SELECT %(oid)s::oid UNION SELECT relid::oid FROM pg_partition_tree(%(oid)s)) AS family (member)

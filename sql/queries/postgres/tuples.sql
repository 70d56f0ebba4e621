-- Dead row versions not yet removed by VACUUM in a table with its partitions, and live ones, both from the statistics.
SELECT coalesce(sum(s.n_dead_tup), 0)::bigint, coalesce(sum(s.n_live_tup), 0)::bigint
FROM pg_stat_all_tables s
WHERE s.relid IN (
  SELECT relid FROM pg_partition_tree(%(oid)s) UNION SELECT %(oid)s::oid
)

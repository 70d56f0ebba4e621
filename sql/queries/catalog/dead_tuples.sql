-- Dead row versions that wait for VACUUM in a table, its partitions included, as the statistics know.
SELECT coalesce(sum(s.n_dead_tup), 0)::bigint
FROM pg_stat_all_tables s
WHERE s.relid IN (
  SELECT relid FROM pg_partition_tree(%(oid)s) UNION SELECT %(oid)s::oid
)

-- How many bytes a table has, its partitions, indexes and TOAST included.
SELECT coalesce(sum(pg_total_relation_size(relid)), 0)::bigint
FROM (SELECT relid FROM pg_partition_tree(%(oid)s) UNION SELECT %(oid)s::oid) AS part (relid)

-- The size of a table in bytes, with its partitions.
SELECT coalesce(sum(pg_relation_size(relid)), 0)::bigint
FROM (SELECT relid FROM pg_partition_tree(%(oid)s) UNION SELECT %(oid)s::oid) AS part (relid)

-- The tables and their partitions that have rows of their own.
SELECT DISTINCT c.oid::bigint
FROM unnest(%(tables)s::bigint[]) AS given (oid)
CROSS JOIN LATERAL (
  SELECT relid FROM pg_partition_tree(given.oid::oid) UNION SELECT given.oid::oid
) AS part (oid)
JOIN pg_class c ON c.oid = part.oid AND c.relkind = 'r'

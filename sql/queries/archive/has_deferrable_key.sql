-- Whether a unique or exclusion constraint of the table, or of a partition, is deferrable: ON CONFLICT cannot use it.
SELECT EXISTS (
  SELECT FROM pg_constraint
  WHERE conrelid IN (SELECT relid FROM pg_partition_tree(%(oid)s) UNION SELECT %(oid)s)
    AND contype IN ('p', 'u', 'x') AND condeferrable
)

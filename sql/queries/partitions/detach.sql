-- Detaches a partition, if it is the one that was chosen, in this transaction.
SELECT ops.detach_partition(%(oid)s, %(schema)s, %(name)s, %(parent)s, %(bounds)s)

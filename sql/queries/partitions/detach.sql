-- Detaches a partition, which has to be the one that was chosen, in this transaction.
SELECT ops.detach_partition(%(oid)s, %(schema)s, %(name)s, %(parent)s, %(bounds)s)

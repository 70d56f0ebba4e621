-- The partition is one again, was never detached, or is gone.
DELETE FROM ops.detached_partitions WHERE partition = %(oid)s

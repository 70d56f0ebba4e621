-- Deletes the record of a partition that was attached again, was never detached, or was dropped.
DELETE FROM ops.detached_partitions WHERE partition = %(oid)s

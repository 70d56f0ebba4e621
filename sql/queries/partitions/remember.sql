-- Records that a partition is about to be detached.
SELECT ops.record_detaching(%(oid)s)

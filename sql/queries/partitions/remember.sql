-- Records that a partition is about to be detached.
SELECT ops.note_detaching(%(oid)s)

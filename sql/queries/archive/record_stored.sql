-- Records that the files have their final names.
SELECT ops.mark_archives(%(ids)s, stored => true)

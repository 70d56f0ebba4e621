-- Records that the rows were restored; the live tail of the audit log does not report them as new.
SELECT ops.mark_archives(%(ids)s, restored => %(into)s)

-- The rows are in a table again; those of the audit log are no news to the live tail.
SELECT ops.mark_archives(%(ids)s, restored => %(into)s)

-- The files have their lasting names.
SELECT ops.mark_archives(%(ids)s, stored => true)

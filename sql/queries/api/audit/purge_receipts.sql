-- Deletes receipts older than seven days, at most %(limit)s at a time, and returns how many.
SELECT ops.purge_receipts(%(limit)s)

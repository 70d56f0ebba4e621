-- Deletes receipts that are over (of events that came with their time after 24 hours, others after seven days), at most %(limit)s at a time, and returns how many.
SELECT ops.purge_receipts(%(limit)s)

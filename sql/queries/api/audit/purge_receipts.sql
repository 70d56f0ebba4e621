-- Forgets receipts that are older than seven days, at most %(limit)s at a time, and says how many they were.
SELECT ops.purge_receipts(%(limit)s)

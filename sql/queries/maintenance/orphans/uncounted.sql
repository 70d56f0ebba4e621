-- Recorded keys whose children nobody has counted, some at a time.
SELECT id FROM ops.missing_parents
WHERE policy = %(policy)s AND rows IS NULL AND keys IS NOT NULL
ORDER BY id
LIMIT %(size)s

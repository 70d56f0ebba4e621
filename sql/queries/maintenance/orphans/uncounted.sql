-- Recorded keys whose children have not been counted, a limited number of rows.
SELECT id FROM ops.missing_parents
WHERE policy = %(policy)s AND rows IS NULL AND keys IS NOT NULL
ORDER BY id
LIMIT %(size)s

-- The earliest row of a range of time in the default partition; no row when it has none.
SELECT {column}::timestamptz
FROM {default}
WHERE {column} >= %(lower)s AND {column} < %(upper)s
ORDER BY {column}
LIMIT 1

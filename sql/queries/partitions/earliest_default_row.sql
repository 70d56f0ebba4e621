-- The earliest row of a range of time that the default partition holds; no row when it holds none.
SELECT {column}::timestamptz
FROM {default}
WHERE {column} >= %(lower)s AND {column} < %(upper)s
ORDER BY {column}
LIMIT 1

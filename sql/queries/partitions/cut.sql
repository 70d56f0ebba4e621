-- Where to end a range of time so that the default partition has about the given number of rows in it: between two
-- different times. NULL: it has no more rows than that.
SELECT min({column})::timestamptz
FROM {default}
WHERE {column} > %(lower)s AND {column} < %(upper)s
  AND {column} >= (
    SELECT {column}
    FROM {default}
    WHERE {column} >= %(lower)s AND {column} < %(upper)s
    ORDER BY {column}
    OFFSET %(rows)s LIMIT 1
  )

-- Where to end a range of time so that the default partition holds about so many rows of it: between two
-- times, never between two rows of one. NULL: it holds no more than that.
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

-- The first day between two days, both included, of which the table has rows. No row: none.
SELECT {column}::date
FROM {table}
WHERE {column} >= %(earliest)s::date AND {column} < %(latest)s::date + 1
ORDER BY {column}
LIMIT 1

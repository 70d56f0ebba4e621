-- The oldest row that has a moment, as far as Python's calendar reaches.
SELECT greatest(min({column})::timestamptz, '0001-01-02 00:00Z')
FROM {rows}
WHERE {column} > '-infinity' AND {column} < {cutoff}

-- The oldest row that has a time within the range of Python's datetime.
SELECT greatest(min({column})::timestamptz, '0001-01-02 00:00Z')
FROM {rows}
WHERE {column} > '-infinity' AND {column} < {cutoff}

-- How many rows have no time, and the earliest time in the given time zone.
SELECT count(*) FILTER (WHERE {column} IS NULL),
       least(greatest(min({moment}), '0001-01-02'), '9999-12-30')::timestamptz
FROM ONLY {table}

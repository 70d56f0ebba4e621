-- Rows without a time, and the earliest day there is in the time zone given.
SELECT count(*) FILTER (WHERE {column} IS NULL),
       least(greatest(min({moment}), '0001-01-02'), '9999-12-30')::timestamptz
FROM ONLY {table}

-- The oldest row a table holds, as far as Python's calendar reaches. An infinite time is no moment.
SELECT CASE WHEN min({column}) IS NOT NULL
            THEN greatest('0001-01-02 00:00Z', least('9999-12-30 00:00Z', min({column})::timestamptz)) END
FROM {table}
WHERE {column} > '-infinity' AND {column} < 'infinity'

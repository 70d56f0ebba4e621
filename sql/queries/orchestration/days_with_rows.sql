-- Those of the days of which the table has rows.
SELECT day
FROM unnest(%(days)s::date[]) AS day
WHERE EXISTS (SELECT FROM {table} WHERE {column} >= day AND {column} < day + 1)

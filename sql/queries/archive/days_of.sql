-- The days (UTC) of staged rows for which a partition can be created.
SELECT DISTINCT (moment AT TIME ZONE 'UTC')::date
FROM (SELECT {moment}::timestamptz AS moment FROM {staging} AS staged) AS staged
WHERE moment >= '0001-01-01 00:00:00+00' AND moment < '9999-12-31 00:00:00+00'
ORDER BY 1

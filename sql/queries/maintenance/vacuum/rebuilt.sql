-- For each index that a policy has rebuilt, the last time: its size afterwards divided by the expected size.
SELECT DISTINCT ON (built ->> 'index') built ->> 'index',
       (built ->> 'bytes_after')::float8 / (built ->> 'expected')::float8 AS factor
FROM ops.maintenance_runs r
CROSS JOIN LATERAL jsonb_array_elements(r.details -> 'indexes') AS built
WHERE r.policy = %(policy)s AND jsonb_typeof(r.details -> 'indexes') = 'array'
  AND built ->> 'action' = 'rebuild' AND built ->> 'outcome' = 'done' AND (built ->> 'expected')::float8 > 0
ORDER BY built ->> 'index', r.started_at DESC

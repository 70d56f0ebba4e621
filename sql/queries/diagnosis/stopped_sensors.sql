-- Which of these sensors are off. Runs on Dagster's database.
SELECT wanted.name
FROM unnest(%(sensors)s::text[]) WITH ORDINALITY AS wanted (name, nth)
CROSS JOIN LATERAL (
  SELECT i.status
  FROM instigators i
  WHERE i.instigator_type = 'SENSOR'
    AND coalesce(i.instigator_body::jsonb #>> '{origin,job_name}', i.instigator_body::jsonb #>> '{origin,instigator_name}')
        = wanted.name
  ORDER BY i.update_timestamp DESC
  LIMIT 1
) AS state
WHERE state.status = 'STOPPED'
ORDER BY wanted.nth

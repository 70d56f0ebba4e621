-- Of each of these schedules: whether it is on (NULL: no daemon has seen it), since when, and its last tick: when, its
-- state and its error. Times are in UTC. Runs on Dagster's database.
SELECT wanted.name, state.status IN ('RUNNING', 'DECLARED_IN_CODE', 'AUTOMATICALLY_RUNNING'),
       state.create_timestamp, tick.timestamp, tick.status, tick.tick_body::jsonb #>> '{error,message}'
FROM unnest(%(schedules)s::text[]) WITH ORDINALITY AS wanted (name, nth)
LEFT JOIN LATERAL (
  SELECT i.selector_id, i.status, i.create_timestamp
  FROM instigators i
  WHERE i.instigator_type = 'SCHEDULE'
    AND coalesce(i.instigator_body::jsonb #>> '{origin,job_name}', i.instigator_body::jsonb #>> '{origin,instigator_name}')
        = wanted.name
  ORDER BY i.update_timestamp DESC
  LIMIT 1
) AS state ON true
LEFT JOIN LATERAL (
  SELECT t.timestamp, t.status, t.tick_body
  FROM job_ticks t
  WHERE t.selector_id = state.selector_id
  ORDER BY t.timestamp DESC
  LIMIT 1
) AS tick ON true
ORDER BY wanted.nth

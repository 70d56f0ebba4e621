-- A run of Dagster: whether it has ended, for how many seconds it has written no event, and what it was launched for:
-- the keys of its steps, and those of its assets, their parts joined by a slash; NULL: all of its job. Runs on Dagster's
-- database.
SELECT status IN ('SUCCESS', 'FAILURE', 'CANCELED'),
       (SELECT extract(epoch FROM (clock_timestamp() AT TIME ZONE 'UTC') - max(timestamp))::float8
        FROM event_logs WHERE event_logs.run_id = runs.run_id),
       CASE WHEN jsonb_typeof(run_body::jsonb -> 'step_keys_to_execute') = 'array'
            THEN ARRAY(SELECT jsonb_array_elements_text(run_body::jsonb -> 'step_keys_to_execute')) END,
       (SELECT array_agg((
          SELECT string_agg(part, '/' ORDER BY nth)
          FROM jsonb_array_elements_text(key -> 'path') WITH ORDINALITY AS parts (part, nth)
        ))
        FROM jsonb_array_elements(run_body::jsonb #> '{asset_selection,__frozenset__}') AS keys (key))
FROM runs
WHERE run_id = %(run_id)s

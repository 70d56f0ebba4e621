-- A run of Dagster: whether it has ended, and the keys of the assets that it was launched for, NULL for all of its job.
-- A run of some steps, which repeats another one from its failure, is taken as one for no assets. Runs on Dagster's
-- database.
SELECT status IN ('SUCCESS', 'FAILURE', 'CANCELED'),
       CASE WHEN run_body::jsonb -> 'step_keys_to_execute' <> 'null' THEN '{}'
       ELSE (
         SELECT array_agg((
           SELECT string_agg(part, '/' ORDER BY nth)
           FROM jsonb_array_elements_text(key -> 'path') WITH ORDINALITY AS parts (part, nth)
         ))
         FROM jsonb_array_elements(run_body::jsonb #> '{asset_selection,__frozenset__}') AS keys (key)
       ) END
FROM runs
WHERE run_id = %(run_id)s

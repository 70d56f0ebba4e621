-- Keeps how far a run's VACUUM has come where everybody can see it who may see the run.
UPDATE ops.maintenance_runs
SET details = jsonb_set(details, '{progress}', %(progress)s), progress_at = clock_timestamp()
WHERE id = %(id)s AND outcome = 'running'

-- Saves the progress of a run's VACUUM, so that other sessions can see it.
UPDATE ops.maintenance_runs
SET details = jsonb_set(details, '{progress}', %(progress)s), progress_at = clock_timestamp()
WHERE id = %(id)s AND outcome = 'running'

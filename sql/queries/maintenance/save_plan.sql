-- Saves what a run is about to do: its cutoff, the number of rows, its method, and what the next run's guard compares
-- with.
UPDATE ops.maintenance_runs
SET cutoff = %(cutoff)s, rows_planned = %(planned)s, method = %(method)s, details = details || %(details)s
WHERE id = %(id)s

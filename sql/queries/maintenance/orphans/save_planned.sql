-- Saves how many orphans a run deletes by its plan, added to those it has deleted so far, and what the next run's guard
-- compares with.
UPDATE ops.maintenance_runs SET rows_planned = rows_removed + %(planned)s, details = details || %(details)s
WHERE id = %(id)s

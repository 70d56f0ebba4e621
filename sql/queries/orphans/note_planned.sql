-- Keeps how many orphans a run is about to remove, and what the next run's guard compares with.
UPDATE ops.maintenance_runs SET rows_planned = %(planned)s, details = details || %(details)s WHERE id = %(id)s

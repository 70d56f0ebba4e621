-- Keeps how many orphans a run removes by its plan, with those it has removed by then, and what the next run's guard
-- compares with.
UPDATE ops.maintenance_runs SET rows_planned = rows_removed + %(planned)s, details = details || %(details)s
WHERE id = %(id)s

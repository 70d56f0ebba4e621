-- Keeps what a run is about to do: its cutoff, how many rows that is, how it goes about it, and what the next
-- run's guard compares with.
UPDATE ops.maintenance_runs
SET cutoff = %(cutoff)s, rows_planned = %(planned)s, method = %(method)s, details = details || %(details)s
WHERE id = %(id)s

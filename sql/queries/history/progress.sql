-- Adds a batch to its run, in the batch's own transaction: what is recorded is what was removed.
UPDATE ops.maintenance_runs
SET rows_examined = rows_examined + %(examined)s, rows_removed = rows_removed + %(removed)s
WHERE id = %(id)s

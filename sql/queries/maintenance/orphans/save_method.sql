-- Saves how a run finds the missing parents.
UPDATE ops.maintenance_runs SET method = %(method)s WHERE id = %(id)s

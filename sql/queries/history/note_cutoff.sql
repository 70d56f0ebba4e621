-- The moment before which rows are too old in this run.
UPDATE ops.maintenance_runs SET cutoff = %(cutoff)s WHERE id = %(id)s

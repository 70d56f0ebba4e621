-- Whether this database can have targets; before the migration it cannot.
SELECT to_regclass('ops.forward_targets') IS NOT NULL

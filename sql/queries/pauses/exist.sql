-- Whether this database can be paused; before its migration it cannot.
SELECT to_regclass('ops.maintenance_pauses') IS NOT NULL

-- The staging tables that a killed restore has left.
SELECT relname
FROM pg_class
WHERE relnamespace = 'ops'::regnamespace AND relkind = 'r' AND relname ~ '^restoring_[0-9a-f]{12}$'

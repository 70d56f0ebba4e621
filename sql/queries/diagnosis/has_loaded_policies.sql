-- Whether the migration that records loaded policies was applied.
SELECT to_regclass('ops.loaded_policies') IS NOT NULL

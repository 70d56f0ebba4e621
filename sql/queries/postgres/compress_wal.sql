-- Compresses full-page images in the WAL, if we may set that and the server has no setting: two thirds of the WAL of
-- deletes are pages that are changed for the first time after a checkpoint.
SELECT set_config('wal_compression', 'lz4', false)
FROM pg_settings
WHERE name = 'wal_compression' AND setting = 'off' AND 'lz4' = ANY (enumvals)
  AND has_parameter_privilege('wal_compression', 'SET')

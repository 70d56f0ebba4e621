-- Whole pages go into the WAL compressed, where that is ours to say and the server has said nothing: two thirds
-- of a removal's WAL are pages that it touches first after a checkpoint.
SELECT set_config('wal_compression', 'lz4', false)
FROM pg_settings
WHERE name = 'wal_compression' AND setting = 'off' AND 'lz4' = ANY (enumvals)
  AND has_parameter_privilege('wal_compression', 'SET')

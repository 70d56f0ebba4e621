-- Keys that are limited to databases of policies.yaml.

ALTER TABLE ops.api_keys
  ADD COLUMN databases text[] CONSTRAINT api_keys_databases_not_empty CHECK (cardinality(databases) > 0);

COMMENT ON COLUMN ops.api_keys.databases IS
  'The databases of policies.yaml whose runs the key may start and approve with maintenance:write; NULL: all';

-- The key with that hash, if it is valid; records that it was used.
UPDATE ops.api_keys
SET last_used_at = greatest(last_used_at, clock_timestamp())
WHERE key_hash = %(key_hash)s
  AND revoked_at IS NULL
  AND (expires_at IS NULL OR expires_at > clock_timestamp())
RETURNING id, name, scopes, expires_at, databases

-- The key with that hash, if it is valid.
SELECT id, name, scopes, key_hash
FROM ops.api_keys
WHERE key_hash = %(key_hash)s
  AND revoked_at IS NULL
  AND (expires_at IS NULL OR expires_at > clock_timestamp())

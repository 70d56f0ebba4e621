-- The key with that hash, and whether it is valid: neither revoked nor expired.
SELECT id, name, scopes, key_hash,
       revoked_at IS NULL AND (expires_at IS NULL OR expires_at > clock_timestamp()) AS valid
FROM ops.api_keys
WHERE key_hash = %(key_hash)s

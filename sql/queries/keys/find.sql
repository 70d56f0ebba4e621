-- The key with that hash, if it is still valid.
SELECT id, name, scopes FROM ops.api_keys WHERE key_hash = %(key_hash)s AND revoked_at IS NULL

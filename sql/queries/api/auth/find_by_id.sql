-- The key with that id, if it is valid: neither revoked nor expired.
SELECT id, name, scopes
FROM ops.api_keys
WHERE id = %(id)s
  AND revoked_at IS NULL
  AND (expires_at IS NULL OR expires_at > clock_timestamp())

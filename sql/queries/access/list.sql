-- All keys, revoked and expired ones too, without their hashes.
SELECT id, name, scopes, expires_at, databases, created_at, last_used_at, revoked_at
FROM ops.api_keys
ORDER BY created_at DESC, id

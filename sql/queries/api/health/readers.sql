-- The keys that may read the messages of health checks, and their expiry.
SELECT key_hash, expires_at
FROM ops.api_keys
WHERE revoked_at IS NULL AND scopes && ARRAY['maintenance:read', 'admin']

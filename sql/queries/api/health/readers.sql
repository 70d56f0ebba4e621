-- The keys whose owners may read what the checks found, and until when.
SELECT key_hash, expires_at
FROM ops.api_keys
WHERE revoked_at IS NULL AND scopes && ARRAY['maintenance:read', 'admin']

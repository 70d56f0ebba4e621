-- The key with that hash, which is revoked or has expired where it was not found to be valid.
SELECT id FROM ops.api_keys WHERE key_hash = %(key_hash)s

-- Stores a new key's hash.
INSERT INTO ops.api_keys (name, key_hash, scopes, databases, expires_at)
VALUES (%(name)s, %(key_hash)s, %(scopes)s, %(databases)s, %(expires_at)s)
RETURNING id

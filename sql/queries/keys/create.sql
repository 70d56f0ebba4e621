-- Keeps a new key's hash.
INSERT INTO ops.api_keys (name, key_hash, scopes) VALUES (%(name)s, %(key_hash)s, %(scopes)s)
RETURNING id

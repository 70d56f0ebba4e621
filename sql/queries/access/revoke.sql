-- Revokes keys. The rows are kept, as a record of who had access.
UPDATE ops.api_keys SET revoked_at = clock_timestamp()
WHERE id = ANY (%(ids)s) AND revoked_at IS NULL
RETURNING id, name, scopes

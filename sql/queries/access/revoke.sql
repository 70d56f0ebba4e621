-- Revokes keys by id or name. The rows are kept, as a record of who had access.
UPDATE ops.api_keys SET revoked_at = clock_timestamp()
WHERE (id::text = %(key)s OR name = %(key)s) AND revoked_at IS NULL
RETURNING id, name, scopes

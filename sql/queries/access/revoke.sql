-- Takes keys back, by id or by name. The row stays: who had access is part of the record.
UPDATE ops.api_keys SET revoked_at = clock_timestamp()
WHERE (id::text = %(key)s OR name = %(key)s) AND revoked_at IS NULL
RETURNING id, name, scopes

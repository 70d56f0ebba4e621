-- A hold ends, if it has not been released before.
UPDATE ops.legal_holds SET released_at = clock_timestamp(), released_by = %(by)s
WHERE id = %(id)s AND released_at IS NULL
RETURNING id

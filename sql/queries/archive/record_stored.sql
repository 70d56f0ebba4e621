-- The files have their lasting names.
UPDATE ops.archives SET stored_at = clock_timestamp() WHERE id = ANY (%(ids)s)

-- The rows are in a table again.
UPDATE ops.archives SET restored_at = clock_timestamp(), restored_into = %(into)s WHERE id = ANY (%(ids)s)

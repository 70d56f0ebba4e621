-- The file was read again and is, or is not, what was written.
UPDATE ops.archives SET verified_at = clock_timestamp(), verified_ok = %(ok)s WHERE id = %(id)s

-- The file was read again and agrees, or does not agree, with what is recorded of it here.
UPDATE ops.archives SET verified_at = clock_timestamp(), verified_ok = %(ok)s WHERE id = %(id)s

DELETE FROM ops.archives WHERE id = %(id)s

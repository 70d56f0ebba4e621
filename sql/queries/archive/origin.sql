-- What tells this database's files apart from those of another one in the same folder.
SELECT id FROM ops.archive_origin

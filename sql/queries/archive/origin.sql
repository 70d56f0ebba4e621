-- An identifier that distinguishes this database's files from those of another database in the same folder.
SELECT id FROM ops.archive_origin

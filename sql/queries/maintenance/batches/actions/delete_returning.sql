-- As delete, answering with the rows as the archive takes them.
DELETE FROM {heap} AS target WHERE {condition}
RETURNING {columns}

-- As delete, answering with the rows as the archive takes them.
DELETE FROM {heap} AS doomed WHERE {condition}
RETURNING {columns}

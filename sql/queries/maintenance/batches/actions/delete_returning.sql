-- As delete, returning the rows in the form in which they are archived.
DELETE FROM {heap} AS target WHERE {condition}
RETURNING {columns}

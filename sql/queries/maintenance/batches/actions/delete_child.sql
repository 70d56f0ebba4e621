-- Deletes the rows that refer to those of the batch, and answers with them as the archive takes them.
DELETE FROM {rows} AS {alias} WHERE {condition}
RETURNING {columns}

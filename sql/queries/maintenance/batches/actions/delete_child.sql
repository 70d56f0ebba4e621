-- Deletes the rows that refer to those of the batch, and returns them in the form in which they are archived.
DELETE FROM {rows} AS {alias} WHERE {condition}
RETURNING {columns}

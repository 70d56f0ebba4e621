-- Removes the rows of a window that may go and nobody holds.
DELETE FROM {heap} AS target WHERE {condition}

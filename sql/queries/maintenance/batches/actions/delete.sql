-- Removes the rows of a range that may go and nobody holds.
DELETE FROM {heap} AS target WHERE {condition}

-- Removes the rows of a range that may be deleted.
DELETE FROM {heap} AS target WHERE {condition}

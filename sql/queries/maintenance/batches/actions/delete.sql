-- Deletes the deletable rows of a range.
DELETE FROM {heap} AS target WHERE {condition}

-- An index for the order in which changes were recorded.
ALTER TABLE {changes} ADD COLUMN place bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY

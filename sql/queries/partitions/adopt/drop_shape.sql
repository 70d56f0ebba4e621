-- Drops the temporary shape of the new table.
DROP TABLE {shape}

-- It has done its work.
DROP TABLE {shape}

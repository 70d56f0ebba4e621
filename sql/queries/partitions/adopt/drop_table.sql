-- Drops a table of the adoption.
DROP TABLE IF EXISTS {table}

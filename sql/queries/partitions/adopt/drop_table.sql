-- The table is not needed any more.
DROP TABLE IF EXISTS {table}

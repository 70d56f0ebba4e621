-- TRUNCATE OFF: giving the table's empty tail back to the disk would lock every reader out.
VACUUM (ANALYZE {analyze}, TRUNCATE OFF) {table}

-- Drops an index that nobody can read, while its table is read and written.
DROP INDEX CONCURRENTLY {index}

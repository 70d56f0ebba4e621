-- Drops an index that no query can use, while its table is read and written.
DROP INDEX CONCURRENTLY {index}

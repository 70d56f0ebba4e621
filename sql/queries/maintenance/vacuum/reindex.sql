-- Rebuilds an index while its table is read and written.
REINDEX INDEX CONCURRENTLY {index}

-- Builds an index anew while its table is read and written.
REINDEX INDEX CONCURRENTLY {index}

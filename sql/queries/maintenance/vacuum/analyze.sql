-- Analyzes one table; a partitioned table with its partitions.
ANALYZE ({options}) {table}

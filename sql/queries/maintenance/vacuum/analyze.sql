-- One table's statistics; a partitioned table's and those of its partitions.
ANALYZE ({options}) {table}

"""The archive: Parquet files of deleted rows, written before the delete commits, and their restore."""

"""Removed rows, kept: Parquet files that are exactly what was deleted, and the way back."""

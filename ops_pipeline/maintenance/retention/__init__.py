"""Retention: deletes rows that are older than their policy's `keep`."""

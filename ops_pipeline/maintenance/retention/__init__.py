"""Retention: deletes rows that are older than their policy keeps them."""

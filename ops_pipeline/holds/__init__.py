"""Rows that no policy may delete."""

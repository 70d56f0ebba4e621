"""Rows that have grown too old."""

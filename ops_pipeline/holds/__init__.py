"""Holds: rows that no policy may delete, for example a legal hold."""

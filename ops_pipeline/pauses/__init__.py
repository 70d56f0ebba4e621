"""Pauses: while one is active, no policy of its database is carried out."""

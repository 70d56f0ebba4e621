"""Answers questions about the database: who did what, is it up, how is it doing."""

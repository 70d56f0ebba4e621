"""Throttling: how fast maintenance may work while other sessions use the database."""

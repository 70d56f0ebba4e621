"""What we know of PostgreSQL itself; it has no opinion on policies."""

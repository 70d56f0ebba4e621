"""The API's connections to PostgreSQL: shared pools, and connections pinned to one task."""

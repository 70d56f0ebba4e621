"""The API's connections to PostgreSQL."""

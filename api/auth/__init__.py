"""Authentication by API key, and scopes."""

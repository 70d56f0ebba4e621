"""Keys that authorize clients of the HTTP API."""

"""Says how many connections of clients the limit on open files leaves to the API."""

from ops_pipeline.serving.connections import most_connections

OWN_FILES = 128
"""Files of the process itself: up to 38 pooled database connections, those of the health checks, the log,
policy and archive files, the listening socket."""


def most_clients() -> int:
    """The number of connections. Raises FileLimitError."""
    return most_connections(OWN_FILES)

"""Connects to a database of `policies.yaml`."""

from collections.abc import Mapping

from ops_pipeline.policies.model import Database
from ops_pipeline.postgres.connection import Connection, NoConnectionError, connect


def connect_to(
    database: Database, environment: Mapping[str, str], application_name: str, *, lock_timeout: str = "2s"
) -> Connection:
    """A connection as `connect` makes it. When none is made, the message says where the URL is set.

    Raises DatabaseUnavailableError, and PolicyError when a variable of the URL is not set.
    """
    try:
        return connect(
            database.url(environment), application_name, database=database.name, lock_timeout=lock_timeout
        )
    except NoConnectionError as error:
        raise NoConnectionError(f"{error}. Check {database.url_origin}") from error

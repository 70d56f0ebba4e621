"""The API over a database of its own, called through its whole stack, and a key for each scope."""

from collections.abc import Callable, Iterator

import pytest
from litestar.testing import TestClient
from litestar.types import ASGIApp

from api.app import create_app, observed
from ops_pipeline.access import keys
from ops_pipeline.postgres.connection import Connection
from ops_pipeline.settings import Settings

Client = TestClient[ASGIApp]
Headers = dict[str, str]


@pytest.fixture
def client(url: str) -> Iterator[Client]:
    with TestClient(observed(create_app(Settings(database_url=url))), raise_server_exceptions=False) as made:
        yield made


@pytest.fixture
def key(connection: Connection) -> Callable[..., Headers]:
    """Creates a key with these scopes and returns its request header."""

    def make(*scopes: str) -> Headers:
        made = keys.create(connection, "test", scopes)
        # The audit log must contain only what the test puts there.
        connection.execute("DELETE FROM audit_logs WHERE resource_id = %s", [made.id])
        return {"Authorization": f"Bearer {made.key}"}

    return make


@pytest.fixture
def admin(key: Callable[..., Headers]) -> Headers:
    return key("admin")

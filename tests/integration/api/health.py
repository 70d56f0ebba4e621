"""An API with settings of a test, and what its health checks answer."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from litestar.testing import TestClient

from api.app import create_app, observed
from ops_pipeline.settings import Settings
from tests.eventually import eventually
from tests.integration.api.conftest import Client, Headers

NO_MESSAGE = "the key is not known yet"


@contextmanager
def serving(url: str, **settings: Any) -> Iterator[Client]:
    """The API with these settings, and with a policies file only if one is given."""
    given = Settings(database_url=url, **{"policies": Path("none.yaml"), **settings})
    with TestClient(observed(create_app(given))) as client:
        yield client


def message(client: Client, headers: Headers, check: str) -> str:
    return str(client.get(f"/health/full/{check}", headers=headers).json().get("message", NO_MESSAGE))


def checked(client: Client, headers: Headers, check: str) -> tuple[str, str]:
    """Status and message of the check once it has run."""
    eventually(lambda: message(client, headers, check) not in {NO_MESSAGE, "not checked yet"})
    answer = client.get(f"/health/full/{check}", headers=headers).json()
    return answer["status"], answer["message"]

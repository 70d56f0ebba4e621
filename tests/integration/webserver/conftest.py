"""Two databases of which plans wait for approval, and the UI over them, behind its sign-in."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import psycopg
import pytest

from ops_pipeline.access import keys
from ops_pipeline.maintenance.guard import approvals
from ops_pipeline.maintenance.guard.approvals import StoredPlan
from ops_pipeline.orchestration.webserver.people import SCOPE
from ops_pipeline.postgres.connection import Connection, connect
from ops_pipeline.postgres.embedded import Server
from tests.integration.webserver.served import LOCATION_NAME, Served, serving

POLICIES = """
version: 1
databases:
  app:
    url: {app}
    retention:
      - {{table: sessions, column: created_at, keep: 30 days}}
      - {{table: visits, column: created_at, keep: 30 days}}
  other:
    url: {other}
    retention: [{{table: sessions, column: created_at, keep: 30 days}}]
"""
TABLES = """
CREATE TABLE sessions (id int PRIMARY KEY, created_at timestamptz);
CREATE TABLE visits (id int PRIMARY KEY, created_at timestamptz);
"""


@pytest.fixture(scope="module")
def urls(server: Server, template: str) -> Iterator[dict[str, str]]:
    names = {"app": "webserver_app", "other": "webserver_other"}
    with psycopg.connect(server.url("postgres"), autocommit=True) as session:
        for name in names.values():
            session.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        yield {database: server.url(name) for database, name in names.items()}
        for name in names.values():
            session.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="module")
def policies(urls: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("policies") / "policies.yaml"
    file.write_text(POLICIES.format(**urls))
    for url in urls.values():
        with connect(url, "test") as connection:
            connection.execute(TABLES)
    return file


@pytest.fixture(scope="module")
def served(
    urls: dict[str, str], policies: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    """Started once for the tests of a file."""
    with serving(urls["app"], policies, tmp_path_factory.mktemp("dagster")) as running:
        yield running


@pytest.fixture(autouse=True)
def _environment(
    urls: dict[str, str], policies: Path, monkeypatch: pytest.MonkeyPatch, _no_settings_from_outside: None
) -> None:
    monkeypatch.setenv("OPS_DATABASE_URL", urls["app"])
    monkeypatch.setenv("OPS_POLICIES", str(policies))
    monkeypatch.setenv("OPS_DAGSTER_LOCATION", LOCATION_NAME)


@pytest.fixture
def app(urls: dict[str, str]) -> Iterator[Connection]:
    """The database `app`."""
    with connect(urls["app"], "test") as connection:
        yield connection


@pytest.fixture
def other(urls: dict[str, str]) -> Iterator[Connection]:
    """The database `other`."""
    with connect(urls["other"], "test") as connection:
        yield connection


@pytest.fixture
def key(app: Connection) -> Callable[..., str]:
    """Creates keys; by default with the scope that the UI requires."""

    def create(name: str = "ada", scope: str = SCOPE, databases: Sequence[str] = ()) -> str:
        return keys.create(app, name, [scope], databases=databases).key

    return create


@pytest.fixture
def bearer(key: Callable[..., str]) -> dict[str, str]:
    """The headers of a script with ada's key."""
    return {"Authorization": f"Bearer {key()}"}


def store_plan(connection: Connection, policy: str = "app/retention/sessions") -> StoredPlan:
    """A plan of that policy that is pending approval."""
    values = {
        "policy": policy, "definition": {}, "cutoff": "2026-01-01", "worker_clock": "2026-02-01",
        "eligible": 9, "total": 10, "fraction": 0.9, "exact": True, "reasons": ["too many"],
        "cascaded": 0, "follows": None,
    }  # fmt: skip
    return approvals.store(connection, values)

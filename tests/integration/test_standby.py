"""On a standby nothing is written, and a step waits for the primary."""

from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Timer

import psycopg
import pytest
from litestar.testing import TestClient

from api.app import create_app, observed
from ops_pipeline.access import keys
from ops_pipeline.maintenance import kinds
from ops_pipeline.orchestration import retry
from ops_pipeline.orchestration.definitions import build_definitions
from ops_pipeline.postgres import embedded
from ops_pipeline.postgres.connection import connect, scalar
from ops_pipeline.postgres.migrations import migrate
from ops_pipeline.postgres.ready import StandbyError
from ops_pipeline.settings import Settings
from tests.integration.conftest import APPLICATION, SESSIONS, Done

WRITING = {
    "run": "run",
    "approve": "approve 0123abcd",
    "hold add": "hold add --table sessions --where id=1 --reason x --owner y",
    "archive verify": "archive verify",
    "adopt": "adopt sessions",
    "track install": "track install app/orphans/memories.session_id",
    "import": "import cloudtrail .",
    "keys create": "keys create --name me --scope admin",
    "migrate": "migrate",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The URL of a server with the small application, migrated."""
    folder = tmp_path_factory.mktemp("standby")
    with embedded.running(folder) as server:
        with psycopg.connect(server.url("app"), autocommit=True) as session:
            session.execute(APPLICATION)
            session.execute(SESSIONS, [59, 0, 10])
        migrate(server.url("app"))
        with connect(server.url("app"), "test") as connection:
            (folder / "key").write_text(keys.create(connection, "test", ["admin"]).key)
    return folder


@pytest.fixture
def key(folder: Path) -> str:
    return (folder / "key").read_text()


@pytest.fixture
def standby(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The same server as a standby of another."""
    (folder / "data" / "standby.signal").touch()
    with embedded.running(folder) as server:
        monkeypatch.setenv("OPS_DATABASE_URL", server.url("app"))
        monkeypatch.setenv("OPS_ARCHIVE_URL", str(tmp_path))
        yield server.url("app")


@pytest.mark.parametrize("command", WRITING)
def test_commands_that_write_are_refused_on_a_standby(
    standby: str, opsctl: Callable[..., Done], command: str
) -> None:
    done = opsctl(*WRITING[command].split())

    assert done.code in {1, 2}
    assert "is a standby, which accepts no writes. Nothing was changed" in done.err
    assert "target_session_attrs=read-write" in done.err


@pytest.mark.parametrize("command", ["hold list", "archive list", "approve", "keys list", "plan"])
def test_commands_that_read_work_on_a_standby(
    standby: str, opsctl: Callable[..., Done], command: str
) -> None:
    done = opsctl(*command.split())

    assert done.code in {0, 3}, done.err


def test_a_policy_is_refused_on_a_standby(standby: str, tmp_path: Path, opsctl: Callable[..., Done]) -> None:
    (database,) = kinds.load(tmp_path / "policies.yaml").databases

    with connect(standby, "test") as connection, pytest.raises(StandbyError):
        kinds.carry_out(connection, database.policies[0])


def test_the_api_answers_that_it_is_a_standby(standby: str, key: str) -> None:
    headers = {"Authorization": f"Bearer {key}"}
    with TestClient(observed(create_app(Settings(database_url=standby)))) as client:
        stored = client.post("/api/audit-logs", json={"eventType": "a"}, headers=headers)

    assert stored.status_code == 503
    assert "has become a standby" in stored.json()["detail"]


def test_a_step_waits_until_the_standby_is_the_primary(
    standby: str, tmp_path: Path, opsctl: Callable[..., Done], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retry, "FIRST_WAIT_SECONDS", 0.5)
    job = build_definitions(kinds.load(tmp_path / "policies.yaml")).resolve_job_def("nightly_app")
    failover = Timer(2.0, _promote, [standby])
    failover.start()

    result = job.execute_in_process(raise_on_error=False)

    failover.join()
    assert result.success
    with connect(standby, "test") as connection:
        assert scalar(connection, "SELECT count(*) FROM sessions") == 300


def _promote(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as session:
        session.execute("SELECT pg_promote()")

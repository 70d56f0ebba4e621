"""A new user's mistakes in the first ten minutes are reported with the place and the remedy."""

import json
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from dagster._core.workspace.load_target import WorkspaceFileTarget

from ops_pipeline import __version__, cli
from ops_pipeline.archive.archive import Archive
from ops_pipeline.archive.verify import verify
from ops_pipeline.cli.up import services, workspace
from ops_pipeline.maintenance.kinds import plan
from ops_pipeline.maintenance.plan import DeletePlan
from ops_pipeline.orchestration import instance
from ops_pipeline.policies.model import Database
from ops_pipeline.postgres.connection import Connection, DatabaseUnavailableError, connect, scalar
from ops_pipeline.settings import Settings, SettingsError
from ops_pipeline.storage import location
from ops_pipeline.storage.storage import StorageError
from tests.integration.api.process import free_port
from tests.integration.archive.conftest import EVENTS
from tests.integration.archive.removal import remove
from tests.integration.conftest import Done

ARCHIVING = """
version: 1
databases:
  app:
    url: ${OPS_DATABASE_URL}
    retention: [{table: sessions, column: created_at, keep: 30 days, archive: true}]
"""


def test_a_missing_database_for_dagster_is_named_with_the_statement_that_creates_it(
    connection: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection.execute("CREATE ROLE shop LOGIN PASSWORD 'shop'")
    as_shop = f"postgresql://shop:shop@127.0.0.1:{connection.info.port}/{connection.info.dbname}"
    of_dagster = f"postgresql://shop:shop@127.0.0.1:{connection.info.port}/dagster_of_shop"
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home"))

    with pytest.raises(DatabaseUnavailableError) as error:
        instance.prepare(Settings(database_url=as_shop, dagster_database_url=of_dagster))

    assert "CREATE DATABASE dagster_of_shop OWNER shop" in str(error.value)
    assert "OPS_DAGSTER_DATABASE_URL" in str(error.value)
    connection.execute("DROP ROLE shop")


def test_a_wrong_archive_url_marks_no_file_as_damaged(
    url: str, connection: Connection, tmp_path: Path
) -> None:
    connection.execute(EVENTS)
    remove(url, connection, tmp_path / "archive")

    with pytest.raises(
        StorageError, match=r"has none of the files that ops.archives records \(5\).*OPS_ARCHIVE_URL"
    ):
        verify(connection, Archive(location.storage(str(tmp_path / "another")), connection), by="test")

    assert scalar(connection, "SELECT count(*) FROM ops.archives WHERE verified_ok IS FALSE") == 0


def test_a_port_in_use_is_named_before_anything_starts() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        settings = Settings(dagster_host="127.0.0.1", dagster_port=port, api_host="127.0.0.1", api_port=port)

        with pytest.raises(SettingsError) as error:
            services.require_free_ports(settings)

    assert f"OPS_DAGSTER_PORT: cannot listen on port {port} of 127.0.0.1" in str(error.value)
    assert f"OPS_API_PORT: cannot listen on port {port} of 127.0.0.1" in str(error.value)
    services.require_free_ports(settings)


LISTENS_LATER = """
import pathlib, socket, sys, time
go = pathlib.Path(sys.argv[2])
while not go.exists():
    time.sleep(0.01)
listening = socket.create_server(("127.0.0.1", int(sys.argv[1])))
time.sleep(600)
"""


def test_up_announces_the_ui_once_it_answers(tmp_path: Path) -> None:
    port, go, answered = free_port(), tmp_path / "go", []
    command = [sys.executable, "-c", LISTENS_LATER, str(port), str(go)]
    threading.Timer(0.5, go.touch).start()

    def announce() -> None:
        answered.append(go.exists())
        os.kill(os.getpid(), signal.SIGTERM)

    stopped_by_signal = services.run(
        [services.Service("the UI", command, "ui.log")], os.environ, tmp_path,
        stop_within=30, report=pytest.fail, answering=("127.0.0.1", port), announce=announce,
    )  # fmt: skip

    assert stopped_by_signal
    assert answered == [True]


def test_up_needs_no_workspace_file_and_adds_the_servers_of_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    with workspace.written("ops_pipeline") as alone:
        (ours,) = WorkspaceFileTarget(paths=[str(alone.file)]).create_origins()
    (tmp_path / "workspace.yaml").write_text(
        "load_from:\n"
        "  - python_module: {module_name: ops_pipeline.definitions}\n"
        "  - grpc_server: {host: 127.0.0.1, port: 4001, location_name: billing}\n"
    )
    with workspace.written("ops_pipeline") as extended:
        both = WorkspaceFileTarget(paths=[str(extended.file)]).create_origins()
    (tmp_path / "workspace.yaml").write_text("locations: []")

    assert ours.location_name == "ops_pipeline"
    assert [origin.location_name for origin in both] == ["ops_pipeline", "billing"]
    with pytest.raises(SettingsError, match=r"workspace\.yaml: a list of locations is required"):
        workspace.written("ops_pipeline").__enter__()


def test_an_unknown_kind_of_storage_is_refused_by_the_plan(
    application: Connection, read: Callable[..., Database]
) -> None:
    (planned,) = plan(application, read(ARCHIVING).policies, archive_url="gs://bucket")

    assert isinstance(planned, DeletePlan)
    assert "gs:// is not supported" in planned.refusals[0]


@pytest.mark.parametrize("password", ["p@ss", "p@ss/w", "a/b@c", "se/cret"])
def test_a_password_that_is_not_escaped_is_not_printed(password: str) -> None:
    with pytest.raises(DatabaseUnavailableError) as error:
        connect(f"postgresql://shop:{password}@127.0.0.1:1/shop", "test", connect_timeout=1)

    assert "%40 for @" in str(error.value)
    assert all(part not in str(error.value) for part in ("ss/", "cret", "b@c", "p@"))


def test_an_escaped_url_is_used_unchanged() -> None:
    with pytest.raises(
        DatabaseUnavailableError, match=r"Database 'shop' at 127\.0\.0\.1:1: no connection was made"
    ):
        connect(
            "postgresql://shop:p%40ss%2F@127.0.0.1:1/shop?application_name=a@b", "test", connect_timeout=1
        )


def test_json_output_is_an_object_whatever_happens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "policies.yaml").write_text("version: 2\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["opsctl", "plan", "--json"])

    with pytest.raises(SystemExit) as ended:
        cli.main()

    out, _ = capsys.readouterr()
    assert ended.value.code == 2
    assert "policies.yaml:1: version" in json.loads(out)["error"]


def test_the_version_is_printed(opsctl: Callable[..., Done]) -> None:
    done = opsctl("--version")

    assert (done.code, done.out) == (0, f"opsctl {__version__}\n")

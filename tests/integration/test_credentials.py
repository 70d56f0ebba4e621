"""Passwords that rotate: each new connection reads the current one, from a file or a command."""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from litestar.testing import TestClient

from api.app import create_app, observed
from ops_pipeline import settings
from ops_pipeline.access import keys
from ops_pipeline.credentials import with_password, with_source, without_source
from ops_pipeline.maintenance import kinds
from ops_pipeline.policies.file import PolicyError
from ops_pipeline.postgres import embedded
from ops_pipeline.postgres.connection import Connection, DatabaseUnavailableError, connect, url_of
from ops_pipeline.postgres.ready import KNOWN_MIGRATIONS
from ops_pipeline.settings import Settings
from tests.integration.conftest import Done

POLICIES = """
version: 1
databases:
  app:
    url: {url}
    {source}
    retention: [{{table: sessions, column: created_at, keep: 30 days, archive: true}}]
"""


@dataclass
class Rotating:
    """A login whose password is in a file, and `url` without it."""

    url: str
    name: str
    file: Path
    admin: Connection

    def rotate(self) -> None:
        """Sets a new password, also in the file, and ends the sessions of the old one."""
        password = uuid4().hex
        self.admin.execute(f"ALTER ROLE {self.name} PASSWORD '{password}'")
        self.file.write_text(f"{password}\n")
        self.admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s", [self.name]
        )


@pytest.fixture
def rotating(
    application: Connection, server: embedded.Server, url: str, tmp_path: Path
) -> Iterator[Rotating]:
    name = f"rotating_{uuid4().hex[:8]}"
    application.execute(f"CREATE ROLE {name} LOGIN SUPERUSER")
    plain = f"postgresql://{name}@127.0.0.1:{server.port}/{url.rpartition('/')[2]}"
    login = Rotating(plain, name, tmp_path / "password", application)
    login.rotate()
    yield login
    application.execute(f"REASSIGN OWNED BY {name} TO postgres; DROP ROLE {name}")


def test_each_connection_reads_the_password_again(rotating: Rotating) -> None:
    url = with_source(rotating.url, file=rotating.file)
    with connect(url, "test") as first:
        another = url_of(first)
        rotating.rotate()
        with connect(another, "test") as second:
            assert second.info.user == rotating.name
        with pytest.raises(DatabaseUnavailableError):
            connect(rotating.url, "test")


def test_the_password_command_runs_for_each_connection(rotating: Rotating, tmp_path: Path) -> None:
    asked = tmp_path / "asked"
    command = f"sh -c 'echo . >> {asked}; cat {rotating.file}'"
    url = with_source(f"{rotating.url}?connect_timeout=9", command=command)

    for _ in range(2):
        with connect(url, "test"):
            rotating.rotate()

    assert asked.read_text().count(".") >= 2
    assert without_source(url) == f"{rotating.url}?connect_timeout=9"


@pytest.mark.parametrize("source", ["password_file: {file}", "password_command: cat {file}"])
def test_a_policys_database_is_planned_run_archived_and_restored(
    rotating: Rotating,
    source: str,
    opsctl: Callable[..., Done],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPS_DATABASE_URL", rotating.url)
    monkeypatch.setenv("OPS_ARCHIVE_URL", str(tmp_path / "archive"))
    (tmp_path / "archive").mkdir()
    text = POLICIES.format(url=rotating.url, source=source.format(file=rotating.file))
    (tmp_path / "policies.yaml").write_text(text)
    (database,) = kinds.load(tmp_path / "policies.yaml").databases

    assert opsctl("plan").code == 0
    rotating.rotate()
    with connect(database.url({}), "test") as connection:
        rotating_result = kinds.carry_out(connection, database.policies[0], settings=Settings())
    rotating.rotate()
    restored = opsctl("archive", "restore", "--table", "sessions")

    assert (rotating_result.outcome, rotating_result.archived) == ("done", 3000)
    assert restored.code == 0, restored.err


def test_the_database_of_ops_pipeline_may_have_a_password_file_too(
    rotating: Rotating, opsctl: Callable[..., Done], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPS_DATABASE_URL", rotating.url)
    monkeypatch.setenv("OPS_DATABASE_PASSWORD_FILE", str(rotating.file))

    for command in ("migrate", "plan", "keys list"):
        done = opsctl(*command.split())
        assert done.code == 0, (command, done.err)
    with embedded.resolved(settings.load()) as resolved:
        assert resolved.dagster_database_url == rotating.url.rpartition("/")[0] + "/dagster"
        for name, value in settings.environment(resolved).items():
            monkeypatch.setenv(name, value)
    with embedded.resolved(
        settings.load()
    ) as in_a_child:  # the child gets the URL with the source of its password
        assert in_a_child == resolved
    assert len(KNOWN_MIGRATIONS) > 10


def test_the_api_keeps_working_after_a_rotation(rotating: Rotating) -> None:
    headers = {"Authorization": f"Bearer {keys.create(rotating.admin, 'test', ['admin']).key}"}
    url = with_source(rotating.url, command=f"cat {rotating.file}")
    with TestClient(observed(create_app(Settings(database_url=url)))) as client:
        assert client.post("/api/audit-logs", json={"eventType": "a"}, headers=headers).status_code == 201
        rotating.rotate()
        codes = [
            client.post("/api/audit-logs", json={"eventType": "a"}, headers=headers).status_code
            for _ in range(5)
        ]
        ready = client.get("/health/ready?verbose=1")

    assert codes[-1] == 201
    assert ready.status_code == 200, ready.text


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("sh -c 'echo hunter2; exit 3'", "password_command exited with code 3"),
        ("true", "password_command exited with code 0 and printed no password"),
        ("no-such-program --token hunter2", "password_command cannot be run: No such file or directory"),
        ("echo 'hunter2", "password_command cannot be run: No closing quotation"),
    ],
)
def test_a_missing_password_is_reported_with_its_source_and_no_secret(
    rotating: Rotating,
    opsctl: Callable[..., Done],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    command: str,
    said: str,
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("OPS_DATABASE_URL", rotating.url)
    monkeypatch.setenv("OPS_DATABASE_PASSWORD_COMMAND", command)

    done = opsctl("hold", "list")

    assert done.code == 1
    assert said in done.err
    assert "hunter2" not in done.out + done.err + caplog.text


def test_a_file_that_is_missing_or_empty_is_named(rotating: Rotating, tmp_path: Path) -> None:
    for file in (tmp_path / "missing", tmp_path / "empty"):
        (tmp_path / "empty").touch()
        with pytest.raises(DatabaseUnavailableError, match=file.name):
            connect(with_source(rotating.url, file=file), "test")


def test_no_password_is_in_what_is_printed(rotating: Rotating, tmp_path: Path) -> None:
    password = rotating.file.read_text().strip()
    file = tmp_path / "policies.yaml"
    file.write_text(POLICIES.format(url=rotating.url, source=f"password_file: {rotating.file}"))
    (database,) = kinds.load(file).databases

    assert password in with_password(database.url({}))
    assert password not in repr(database) + database.url({}) + repr(Settings(database_url=rotating.url))


def test_a_file_and_a_command_exclude_each_other(tmp_path: Path) -> None:
    file = tmp_path / "policies.yaml"
    source = "password_file: a\n    password_command: b"
    file.write_text(POLICIES.format(url="postgresql://a@b/c", source=source))

    with pytest.raises(PolicyError, match="password_command and password_file cannot both be set"):
        kinds.load(file)


def test_password_file_and_command_of_the_service_exclude_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPS_DATABASE_PASSWORD_COMMAND", "a")
    monkeypatch.setenv("OPS_DATABASE_PASSWORD_FILE", "b")

    with pytest.raises(settings.SettingsError, match="OPS_DATABASE_PASSWORD_FILE: OPS_DATABASE_PASSWORD_COM"):
        settings.load()


def test_a_password_may_contain_special_characters(rotating: Rotating, tmp_path: Path) -> None:
    (tmp_path / "a b&c=d%").mkdir()
    file = tmp_path / "a b&c=d%" / "p?#"
    file.write_text(rotating.file.read_text())
    url = with_source(rotating.url, file=file)

    with connect(url, "test") as connection:
        assert isinstance(connection, psycopg.Connection)
    assert with_source(url, file=file) == url

"""Text survives in every encoding that defines its bytes; a SQL_ASCII database is refused."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from litestar.testing import TestClient
from litestar.types import ASGIApp
from psycopg import sql as compose

from api.app import create_app, observed
from ops_pipeline.access import keys
from ops_pipeline.archive.archive import Archive
from ops_pipeline.archive.restore import restore
from ops_pipeline.archive.verify import verify
from ops_pipeline.audit.importers.cloudtrail import import_files
from ops_pipeline.maintenance.kinds import carry_out
from ops_pipeline.policies.model import Database
from ops_pipeline.postgres import embedded
from ops_pipeline.postgres.connection import connect, scalar
from ops_pipeline.postgres.migrations import migrate
from ops_pipeline.settings import Settings
from ops_pipeline.storage import location
from tests.integration.cloudtrail_records import record

POLICIES = """
version: 1
databases:
  app:
    url: ${OPS_DATABASE_URL}
    guard: {max_fraction: 1}
    retention: [{table: größen, column: geändert, keep: 30 days, archive: true}]
"""
STORE, READ = "/api/audit-logs", "/api/admin/audit-logs"
Client = TestClient[ASGIApp]


@pytest.fixture
def encoded(server: embedded.Server) -> Iterator[Callable[[str], str]]:
    """Creates empty databases with an encoding and returns their URL."""
    made: list[str] = []

    def make(encoding: str) -> str:
        made.append(f"test_{uuid4().hex[:12]}")
        session.execute(
            compose.SQL(
                "CREATE DATABASE {} TEMPLATE template0 ENCODING {} LOCALE_PROVIDER libc LOCALE 'C'"
            ).format(compose.Identifier(made[-1]), compose.Literal(encoding))
        )
        return server.url(made[-1])

    with psycopg.connect(server.url("postgres"), autocommit=True) as session:
        yield make
        for name in made:
            session.execute(compose.SQL("DROP DATABASE {} WITH (FORCE)").format(compose.Identifier(name)))


@pytest.fixture
def latin1(encoded: Callable[[str], str]) -> str:
    url = encoded("LATIN1")
    migrate(url)
    return url


@pytest.fixture
def client(latin1: str) -> Iterator[Client]:
    with connect(latin1, "test") as session:
        headers = {"Authorization": f"Bearer {keys.create(session, 'test', ['admin']).key}"}
    with TestClient(
        observed(create_app(Settings(database_url=latin1))), raise_server_exceptions=False
    ) as made:
        made.headers.update(headers)
        yield made


def test_archived_rows_with_names_in_latin1_come_back(
    latin1: str, read: Callable[[str], Database], tmp_path: Path
) -> None:
    given = Settings(archive_url=str(tmp_path / "archive"), throttle_file=tmp_path / "pause")
    rows = 'SELECT id, "näme", "geändert" FROM "größen" ORDER BY id'
    with connect(latin1, "test") as session:
        session.execute(
            """
            CREATE TABLE "größen" (id int PRIMARY KEY, "näme" text, "geändert" timestamptz);
            INSERT INTO "größen" SELECT n, 'café ' || n, '2026-02-03' FROM generate_series(1, 100) AS n
            """
        )
        before = session.execute(rows).fetchall()
        (policy,) = read(POLICIES).policies

        removed = carry_out(session, policy, settings=given)
        archive = Archive(location.storage(str(given.archive_url)), session)
        verified = verify(session, archive, by="ada")
        assert scalar(session, 'SELECT count(*) FROM "größen"') == 0
        restored = restore(session, archive, "größen", first=None, last=None, by="ada")

        assert (removed.outcome, removed.archived, verified.problems) == ("done", 100, ())
        assert restored.rows == 100
        assert session.execute(rows).fetchall() == before


def test_an_event_comes_back_as_it_was_sent(client: Client, latin1: str) -> None:
    event = {"eventType": "café", "action": "é\u00ff", "details": {"kéy": "naïve"}, "createdBy": "Zoë"}
    sent = client.post(STORE, json=event)

    assert sent.status_code == 201
    (found,) = client.get(READ, params={"eventType": "café"}).json()["data"]
    assert (found["event_type"], found["action"], found["details"], found["created_by"]) == (
        "café", "é\u00ff", {"kéy": "naïve"}, "Zoë",
    )  # fmt: skip
    assert "naïve" in client.get(f"{READ}/export", params={"eventType": "café"}).text
    with connect(latin1, "test") as session:
        assert scalar(session, "SELECT length(event_type) FROM audit_logs WHERE action = 'éÿ'") == 4


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ('{"eventType": "a → b"}', "eventType"),
        ('{"eventType": "a \\u2192 b"}', "eventType"),
        ('{"eventType": "a", "action": "→"}', "action"),
        ('{"eventType": "a", "createdBy": "Łukasz"}', "createdBy"),
        ('{"eventType": "a", "details": {"x": ["🦖"]}}', "details"),
        ('{"eventType": "a", "details": {"\\ud83e\\udd96": 1}}', "details"),
    ],
)
def test_an_event_that_the_encoding_cannot_represent_is_refused_by_its_field(
    client: Client, latin1: str, body: str, field: str
) -> None:
    alone = client.post(STORE, content=body.encode())
    among = client.post(STORE, content=b'[{"eventType": "good"}, %b, {"eventType": "gut"}]' % body.encode())

    assert alone.status_code == 400, alone.text
    (error,) = alone.json()["errors"]
    assert error["field"] == field
    assert "LATIN1" in error["reason"]
    assert among.status_code == 201, among.text
    assert [result.get("error", {}).get("field") for result in among.json()["results"]] == [None, field, None]
    with connect(latin1, "test") as session:
        kept = session.execute("SELECT event_type FROM audit_logs WHERE event_type LIKE 'g%' ORDER BY 1")
        assert kept.fetchall() == [("good",), ("gut",)]


@pytest.mark.parametrize("path", ["", "/export", "/summary"])
def test_a_query_that_the_encoding_cannot_represent_is_a_client_error(client: Client, path: str) -> None:
    assert client.get(f"{READ}{path}", params={"action": "→"}).status_code == 400


def test_an_import_stores_all_events_that_the_encoding_can_represent(latin1: str, tmp_path: Path) -> None:
    records = [record(number, userAgent="→" if number == 3 else "é") for number in range(1, 6)]
    (tmp_path / "delivery.json").write_bytes(json.dumps({"Records": records}).encode())
    with connect(latin1, "test") as session:
        report = import_files(session, [tmp_path], report_progress=lambda _: None)

    assert (report.stored, report.rejected) == (4, 1)
    assert report.rejections[0].record == 3
    assert "LATIN1" in report.rejections[0].reason


@pytest.mark.parametrize(
    "command", ["migrate", "plan", "run", "hold list", "keys list", "adopt visits", "api"]
)
def test_a_database_with_the_encoding_sql_ascii_is_refused(
    encoded: Callable[[str], str], tmp_path: Path, command: str
) -> None:
    url = encoded("SQL_ASCII")
    (tmp_path / "policies.yaml").write_text(POLICIES)
    program = ["-m", "api"] if command == "api" else ["-c", "from ops_pipeline.cli import main; main()"]
    done = subprocess.run(
        [sys.executable, *program, *([] if command == "api" else command.split())],
        cwd=tmp_path,
        env=os.environ | {"OPS_DATABASE_URL": url, "DAGSTER_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert done.returncode == 1, done.stderr
    assert "its encoding is SQL_ASCII" in done.stderr
    assert "createdb -T template0 -E UTF8" in done.stderr
    with psycopg.connect(url) as session:
        assert session.execute("SELECT count(*) FROM pg_namespace WHERE nspname = 'ops'").fetchone() == (0,)

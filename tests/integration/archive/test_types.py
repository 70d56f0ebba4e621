"""Values of every type come back from the archive bit by bit."""

from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, example, given, settings
from psycopg import sql as compose

from ops_pipeline.archive.archive import Archive
from ops_pipeline.archive.restore import restore
from ops_pipeline.postgres import embedded
from ops_pipeline.postgres.connection import Connection, connect, scalar
from ops_pipeline.storage import location
from tests.integration.archive.removal import remove
from tests.integration.archive.sample import EVERY_SPECIAL, ROWS, TYPES


@pytest.fixture(scope="module")
def things_url(server: embedded.Server, template: str) -> str:
    """One database for all examples of the property."""
    with psycopg.connect(server.url("postgres"), autocommit=True) as session:
        session.execute(
            compose.SQL("CREATE DATABASE archive_things TEMPLATE {}").format(compose.Identifier(template))
        )
    url = server.url("archive_things")
    with psycopg.connect(url, autocommit=True) as session:
        session.execute(TYPES)
    return url


@pytest.mark.parametrize("into", [None, "elsewhere"])
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=ROWS)
@example(rows=[{}])
@example(rows=EVERY_SPECIAL)
def test_every_type_comes_back_bit_by_bit(
    things_url: str, tmp_path: Path, into: str | None, rows: list[dict[str, Any]]
) -> None:
    with connect(things_url, "test") as connection:
        _every_type(things_url, connection, tmp_path / "archive", into, rows)


def _every_type(
    url: str, connection: Connection, folder: Path, into: str | None, rows: list[dict[str, Any]]
) -> None:
    connection.execute("TRUNCATE things RESTART IDENTITY")
    connection.execute("DROP TABLE IF EXISTS elsewhere")
    connection.execute("DELETE FROM ops.archives")
    for each in rows:
        _insert(connection, each)
    before = _binary(connection, "things")
    assert len(before) == len(rows)

    remove(url, connection, folder, table="things")
    assert scalar(connection, "SELECT count(*) FROM things") == 0
    archive = Archive(location.storage(str(folder)), connection)
    restored = restore(
        connection=connection,
        archive=archive,
        table="things",
        first=None,
        last=None,
        into=into,
        by="ada",
    )

    assert restored.rows == len(rows)
    assert _binary(connection, into or "things") == before
    assert not scalar(connection, "SELECT count(*) FROM pg_class WHERE relname LIKE 'restoring%'")


def _insert(connection: Connection, values: dict[str, Any]) -> None:
    if not values:
        connection.execute("INSERT INTO things DEFAULT VALUES")
        return
    connection.execute(
        compose.SQL("INSERT INTO things ({}) VALUES ({})").format(
            compose.SQL(", ").join(map(compose.Identifier, values)),
            compose.SQL(", ").join([compose.Placeholder()] * len(values)),
        ),
        list(values.values()),
    )


def _binary(connection: Connection, table: str) -> list[bytes]:
    """The rows in PostgreSQL's binary format, in which no bit of a value is lost."""
    question = compose.SQL("COPY (SELECT * FROM {} ORDER BY id) TO STDOUT (FORMAT binary)").format(
        compose.Identifier(table)
    )
    with connection.cursor().copy(question) as copy:
        whole = b"".join(bytes(each) for each in copy)
    count = scalar(connection, compose.SQL("SELECT count(*) FROM {}").format(compose.Identifier(table)))
    return [whole] * count

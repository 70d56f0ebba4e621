"""In a transaction with one snapshot an answer is asked for once, outside of one each time."""

import psycopg
import pytest

from ops_pipeline.maintenance import references
from ops_pipeline.postgres.connection import Connection
from ops_pipeline.postgres.snapshot import once, snapshot
from tests.named import named


def test_an_answer_is_remembered_within_a_snapshot_alone(connection: Connection) -> None:
    asked = iter(range(10))

    def ask() -> int:
        return next(asked)

    assert [once(connection, "key", ask) for _ in range(2)] == [0, 1]
    for answer in (2, 3):
        with snapshot(connection):
            assert [once(connection, "key", ask) for _ in range(3)] == [answer] * 3


def test_a_snapshot_within_another_has_its_answers(connection: Connection) -> None:
    with snapshot(connection):
        with snapshot(connection):
            assert once(connection, "key", lambda: "first") == "first"
        assert once(connection, "key", lambda: "second") == "first"

    assert once(connection, "key", lambda: "third") == "third"


def test_nothing_is_written_in_a_snapshot_nor_remembered_after_it(connection: Connection) -> None:
    def write() -> None:
        with snapshot(connection):
            once(connection, "key", lambda: "early")
            connection.execute("CREATE TABLE t ()")

    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        write()

    assert once(connection, "key", lambda: "late") == "late"


def test_a_foreign_key_that_another_session_adds_is_seen_after_the_snapshot(
    connection: Connection, url: str
) -> None:
    connection.execute("CREATE TABLE parents (id int PRIMARY KEY); CREATE TABLE children (parent int)")
    parents = named(connection, "parents")
    with snapshot(connection):
        assert references.foreign_keys(connection, parents) == []
    with psycopg.connect(url, autocommit=True) as other:
        other.execute("ALTER TABLE children ADD FOREIGN KEY (parent) REFERENCES parents")

    (key,) = references.foreign_keys(connection, parents)

    assert key.name == "children_parent_fkey"

"""Restores of rows whose parents no longer exist, or are restored with them."""

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from ops_pipeline.archive.foreign_keys import MissingParents
from ops_pipeline.archive.target import RestoreRefusedError
from ops_pipeline.postgres.connection import Connection, scalar
from tests.integration.archive.removal import remove
from tests.integration.archive.restoring import bring_back, make_orders


def test_the_key_of_a_deleted_user_is_set_null_and_counted(
    url: str, connection: Connection, folder: Path
) -> None:
    connection.execute(
        "CREATE TABLE users (id uuid PRIMARY KEY);"
        "ALTER TABLE audit_logs ADD CONSTRAINT audit_logs_user_id_fkey "
        "FOREIGN KEY (user_id) REFERENCES users ON DELETE SET NULL;"
        "INSERT INTO users SELECT md5(n::text)::uuid FROM generate_series(0, 3) n;"
        "INSERT INTO audit_logs (event_type, created_at, user_id) "
        "SELECT 'e', '2026-01-01', md5((n % 4)::text)::uuid FROM generate_series(1, 40) n"
    )
    condition = "target.event_type = 'e'"
    remove(url, connection, folder, table="audit_logs", day_column="created_at", condition=condition)
    connection.execute("DELETE FROM users WHERE id = md5('1')::uuid")

    restored = bring_back(connection, folder, "audit_logs")

    assert restored.missing_parents == (
        MissingParents("audit_logs_user_id_fkey", ("user_id",), "public.users", "SET NULL", 10),
    )
    counts = "SELECT count(*), count(user_id) FROM audit_logs WHERE event_type = 'e'"
    assert connection.execute(counts).fetchone() == (40, 30)
    details = scalar(connection, "SELECT details FROM audit_logs WHERE action = 'archive.restored'")
    assert [missing["rows"] for missing in details["missing_parents"]] == [10]


def test_set_default_and_set_of_some_columns_are_applied_as_the_key_says(
    url: str, connection: Connection, folder: Path
) -> None:
    connection.execute(
        "CREATE EXTENSION IF NOT EXISTS citext;"
        "CREATE TABLE members (tenant int, name citext, PRIMARY KEY (tenant, name));"
        "INSERT INTO members VALUES (1, 'Ada'), (1, 'Bob'), (1, 'nobody');"
        "CREATE TABLE events (id int PRIMARY KEY, at timestamptz, tenant int, wrote citext DEFAULT 'nobody', "
        '  "100% seen" citext,'
        "  FOREIGN KEY (tenant, wrote) REFERENCES members ON DELETE SET DEFAULT (wrote),"
        '  FOREIGN KEY (tenant, "100% seen") REFERENCES members ON DELETE SET NULL ("100% seen"));'
        "INSERT INTO events VALUES (1, '2026-03-01', 1, 'ada', 'BOB'), (2, '2026-03-01', 1, 'bob', 'ada'), "
        "  (3, '2026-03-01', NULL, 'Eve', 'Eve')"
    )
    remove(url, connection, folder)
    connection.execute("DELETE FROM members WHERE name = 'bob'")

    restored = bring_back(connection, folder)

    assert sorted((missing.on_delete, missing.rows) for missing in restored.missing_parents) == [
        ("SET DEFAULT", 1), ("SET NULL", 1),
    ]  # fmt: skip
    assert connection.execute("SELECT * FROM events ORDER BY id").fetchall() == [
        (1, *_at(connection), 1, "ada", None),
        (2, *_at(connection), 1, "nobody", "ada"),
        (3, *_at(connection), None, "Eve", "Eve"),
    ]


def _at(connection: Connection) -> tuple[Any, ...]:
    return (scalar(connection, "SELECT '2026-03-01'::timestamptz"),)


@pytest.mark.parametrize("on_delete", ["NO ACTION", "RESTRICT", "CASCADE"])
def test_other_keys_with_missing_parents_are_named_with_how_many_rows(
    url: str, connection: Connection, folder: Path, on_delete: str
) -> None:
    make_orders(connection, f"FOREIGN KEY (person) REFERENCES people ON DELETE {on_delete}")
    remove(url, connection, folder, table="orders")
    connection.execute("DELETE FROM people WHERE id < 3")

    with pytest.raises(
        RestoreRefusedError,
        match=r"30 rows refer by orders_person \(person\) to rows of public\.people .*exist.*Nothing",
    ):
        bring_back(connection, folder, "orders")

    assert scalar(connection, "SELECT count(*) FROM orders") == 0
    assert bring_back(connection, folder, "orders", into="found").rows == 100


def test_set_null_of_a_required_column_is_refused_by_its_key(
    url: str, connection: Connection, folder: Path
) -> None:
    make_orders(connection, "FOREIGN KEY (person) REFERENCES people ON DELETE SET NULL")
    connection.execute("ALTER TABLE orders ALTER person SET NOT NULL")
    remove(url, connection, folder, table="orders")
    connection.execute("DELETE FROM people WHERE id = 3")

    with pytest.raises(RestoreRefusedError, match=r"10 rows refer by orders_person"):
        bring_back(connection, folder, "orders")


def test_a_parent_that_comes_back_with_its_children_is_not_missing(
    url: str, connection: Connection, folder: Path
) -> None:
    connection.execute(
        "CREATE TABLE events (id int PRIMARY KEY, at timestamptz, "
        "  parent int REFERENCES events ON DELETE SET NULL);"
        "INSERT INTO events VALUES (1, '2026-03-01', NULL), (2, '2026-03-01', 1), (3, '2026-03-02', 2)"
    )
    # The rows of the day of 1 and 2 are still archived; 3 refers to a row that is not restored.
    remove(url, connection, folder)

    restored = bring_back(connection, folder, first=date(2026, 3, 2))
    assert [missing.rows for missing in restored.missing_parents] == [1]
    restored = bring_back(connection, folder)
    assert restored.missing_parents == ()
    assert connection.execute("SELECT id, parent FROM events ORDER BY id").fetchall() == [
        (1, None), (2, 1), (3, None),
    ]  # fmt: skip

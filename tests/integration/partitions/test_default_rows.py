"""Default partition rows move to their day, each once and none lost, during concurrent reads and writes."""
# ruff: noqa: S608 - statements of the test itself

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from ops_pipeline.partitions import create, default_rows
from ops_pipeline.partitions.partition import existing
from ops_pipeline.partitions.premake import premake_days
from ops_pipeline.postgres import locks
from ops_pipeline.postgres.connection import Connection, connect, scalar
from ops_pipeline.postgres.relation import Relation
from tests.integration.partitions.conftest import FIRST
from tests.integration.partitions.sessions import Session, working
from tests.named import named

NAME = '"Day\'s rows"'
Days = Callable[..., Relation]
DEFAULT_ROWS = f"""
INSERT INTO {NAME} (created_at, note)
SELECT %s + make_interval(secs => n * 60), n::text FROM generate_series(1, %s) AS n
"""
INSERT = f"INSERT INTO {NAME} (created_at, note) VALUES (%s, 'new')"
UPDATE = f"UPDATE {NAME} SET note = note || '+' WHERE created_at = %s"
DELETE = f"DELETE FROM {NAME} WHERE created_at = %s"
COUNT = f"SELECT count(*) FROM {NAME} WHERE note ~ '^5[0-9][0-9]$'"
PLUSSES = f"SELECT sum(length(note) - length(replace(note, '+', ''))) FROM {NAME}"


def test_default_partition_rows_of_kept_days_move_and_expired_ones_do_not(
    connection: Connection, days: Days
) -> None:
    days(days=3)
    expired, kept, far = FIRST - timedelta(days=30), FIRST + timedelta(days=10), FIRST + timedelta(days=9000)
    for when in (expired, kept, far):
        connection.execute(DEFAULT_ROWS, [when, 5])

    home = default_rows.move_all(connection, named(connection, NAME), FIRST, 14)

    assert (home.rows, home.partitions) == (5, 1)
    rows = connection.execute(
        f"SELECT created_at, note, tableoid::regclass::text FROM {NAME} WHERE note <> 'row' ORDER BY 1"
    ).fetchall()
    assert [home for _, _, home in rows] == ["elsewhere"] * 5 + ['"Day\'s rows_20260111"'] * 5 + [
        "elsewhere"
    ] * 5
    assert [note for _, note, _ in rows] == [str(n) for n in range(1, 6)] * 3
    assert default_rows.move_all(connection, named(connection, NAME), FIRST, 14).rows == 0


def test_many_default_partition_rows_of_a_day_move_in_bounded_batches(
    connection: Connection, days: Days, monkeypatch: pytest.MonkeyPatch
) -> None:
    days()
    monkeypatch.setattr(default_rows, "BATCH_ROWS", 100)
    day = FIRST + timedelta(days=5)
    connection.execute(DEFAULT_ROWS, [day, 450])
    connection.execute(f"INSERT INTO {NAME} (created_at) SELECT %s FROM generate_series(1, 250)", [day])
    before = _rows(connection)

    home = default_rows.move_all(connection, named(connection, NAME), FIRST, 14)

    # The 250 rows of one moment stay together.
    assert (home.rows, home.partitions) == (700, 6)
    assert _rows(connection) == before
    assert scalar(connection, "SELECT count(*) FROM elsewhere") == 0


def test_columns_in_another_order_keep_their_values(connection: Connection) -> None:
    connection.execute("CREATE TABLE t (a int, at timestamptz, b text) PARTITION BY RANGE (at)")
    connection.execute("CREATE TABLE d (b text, gone int, at timestamptz, a int)")
    connection.execute("ALTER TABLE d DROP COLUMN gone")
    connection.execute("ALTER TABLE t ATTACH PARTITION d DEFAULT")
    connection.execute("INSERT INTO t VALUES (1, %s, 'one')", [FIRST])

    premake_days(connection, named(connection, "t"), FIRST.date(), FIRST.date())

    assert connection.execute("SELECT a, b, tableoid::regclass::text FROM t").fetchall() == [
        (1, "one", "t_20260101")
    ]


@pytest.mark.parametrize(
    ("obstacle", "reason"),
    [
        (
            "CREATE TABLE child (at timestamptz, id bigint, CONSTRAINT refers FOREIGN KEY (at, id)"
            f" REFERENCES {NAME} ON DELETE CASCADE)",
            r"foreign key refers of public\.child",
        ),
        (
            "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN OLD; END';"
            f"CREATE TRIGGER acts AFTER DELETE ON {NAME} FOR EACH ROW EXECUTE FUNCTION f()",
            "trigger acts",
        ),
    ],
)
def test_default_partition_rows_are_not_moved_where_that_would_have_side_effects(
    connection: Connection, days: Days, obstacle: str, reason: str
) -> None:
    days()
    day = FIRST + timedelta(days=5)
    connection.execute(DEFAULT_ROWS, [day, 5])
    connection.execute(obstacle)
    before = _rows(connection)

    with pytest.raises(default_rows.DefaultRowsRemainError, match=reason):
        default_rows.move_all(connection, named(connection, NAME), FIRST, 14)
    with pytest.raises(default_rows.DefaultRowsRemainError, match=reason):
        premake_days(connection, named(connection, NAME), day.date(), (day + timedelta(days=1)).date())

    assert _rows(connection) == before
    assert "Day's rows_20260107" in [each.name for each in existing(connection, named(connection, NAME))]


def test_no_session_misses_a_row_or_loses_a_write_while_rows_move(
    connection: Connection, url: str, days: Days, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four sessions insert, update, delete and count meanwhile; all of their changes are there afterwards."""
    days()
    monkeypatch.setattr(default_rows, "BATCH_ROWS", 200)
    monkeypatch.setattr(locks, "TRIES", 50)
    moving = [FIRST + timedelta(days=5 + n) for n in range(6)]
    for day in moving:
        connection.execute(DEFAULT_ROWS, [day, 600])
    total = scalar(connection, f"SELECT count(*) FROM {NAME}")
    with working(url) as sessions:

        def insert(own: Session) -> None:
            own.execute(INSERT, [moving[sessions.done["insert"] % 6]])

        def update(own: Session) -> None:
            met = own.execute(UPDATE, [moving[sessions.done["update"] % 6] + timedelta(minutes=7)]).rowcount
            sessions.expect("rows met by an update", met, 1)

        def delete(own: Session) -> None:
            number = sessions.done["delete"]
            minutes = 20 + number // 6 % 400
            met = own.execute(DELETE, [moving[number % 6] + timedelta(minutes=minutes)]).rowcount
            sessions.expect("rows met by a delete", met, 1)

        def count(own: Session) -> None:
            sessions.expect("rows seen", own.execute(COUNT).fetchone(), (600,))

        for work in (insert, update, delete, count):
            sessions.start(work)
        home = default_rows.move_all(connection, named(connection, NAME), FIRST, 14)

    assert sessions.failed == []
    assert set(sessions.done) == {"insert", "update", "delete", "count"}
    assert home.partitions >= 18
    left = total + sessions.done["insert"] - sessions.done["delete"]
    assert scalar(connection, f"SELECT count(*) FROM {NAME}") == left
    assert scalar(connection, PLUSSES) == sessions.done["update"]
    assert scalar(connection, "SELECT count(*) FROM elsewhere") == 0


def test_a_crash_between_batches_leaves_each_row_in_one_place(
    connection: Connection, url: str, days: Days, monkeypatch: pytest.MonkeyPatch
) -> None:
    days()
    monkeypatch.setattr(default_rows, "BATCH_ROWS", 100)
    connection.execute(DEFAULT_ROWS, [FIRST + timedelta(days=5), 450])
    before = _rows(connection)
    with connect(url, "doomed") as doomed:
        real, moved = create.attach_new, list[int]()

        def attach_and_die(*values: Any) -> None:
            real(*values)
            moved.append(1)
            if len(moved) == 3:
                connection.execute("SELECT pg_terminate_backend(%s)", [doomed.info.backend_pid])

        monkeypatch.setattr(default_rows, "attach_new", attach_and_die)
        with pytest.raises(psycopg.OperationalError):
            default_rows.move_all(doomed, named(doomed, NAME), FIRST, 14)
        monkeypatch.setattr(default_rows, "attach_new", real)
    assert _rows(connection) == before

    home = default_rows.move_all(connection, named(connection, NAME), FIRST, 14)

    assert home.rows == 250
    assert _rows(connection) == before


def _rows(connection: Connection) -> list[tuple[object, ...]]:
    return connection.execute(f"SELECT id, created_at, note, doubled FROM {NAME} ORDER BY id").fetchall()

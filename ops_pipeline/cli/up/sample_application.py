"""Fills an empty database with 120 days of a sample application."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import sql
from ops_pipeline.partitions.premake import premake_days
from ops_pipeline.postgres.advisory_lock import advisory_lock
from ops_pipeline.postgres.connection import Connection, cancel_on_interrupt, connect, row
from ops_pipeline.postgres.migrations import migrate
from ops_pipeline.postgres.relation import audit_logs, find_relation

DAYS = 120
ROWS_A_STATEMENT = 60_000
LOCK = "ops: demo"

Report = Callable[[str], None]


class DemoRefusedError(Exception):
    """The database or the policies are not the demo's own; nothing was changed."""


@dataclass(frozen=True, slots=True)
class Filled:
    """How many rows the demo's tables have, from this call or, when not `created`, from an earlier one."""

    created: bool
    sessions: int
    memories: int
    audit_events: int
    seconds: float


def fill(
    url: str, *, seed: int = 1, scale: float = 1.0, as_of: datetime | None = None, report: Report
) -> Filled:
    """Creates the sample application's tables, migrates, and fills them up to `as_of` (unset: now).

    `scale` 1.0 is 50,000 sessions, 60,000 conversations, 250,000 memories and 300,000 audit events of
    2,000 users. The same seed, scale and as_of make the same rows, ids included. All rows are inserted in
    one transaction: if it is killed, the tables stay empty and the next call starts again. Once the tables
    are filled, further calls change nothing, even with other arguments.

    Raises DemoRefusedError when the database has a table that the demo did not create, and ValueError when
    `scale` is not positive or `as_of` has no time zone.
    """
    if not scale > 0:
        raise ValueError(f"scale: {scale} is invalid; it must be a positive number such as 0.1 or 1.0")
    if as_of is not None and as_of.tzinfo is None:
        raise ValueError("as_of: a time zone is required, for example +00:00")
    started = time.monotonic()
    with (
        connect(url, "ops demo", lock_timeout="60s") as connection,
        cancel_on_interrupt(connection),
        advisory_lock(connection, LOCK, wait=True),
    ):
        _create_tables(connection)
        migrate(url)
        connection.execute(sql.demo("fills_table"))
        if (earlier := _earlier(connection, report)) is not None:
            return earlier
        until = as_of or datetime.now(UTC)
        _create_partitions(connection, until)
        rows = _fill_all(connection, seed, scale, until, report)
        connection.execute(sql.demo("analyze"))
    seconds = time.monotonic() - started
    report(f"The sample application is filled ({seconds:.1f} s)")
    return Filled(True, rows.sessions, rows.memories, rows.audit_events, seconds)


@dataclass(frozen=True, slots=True)
class _Rows:
    users: int
    sessions: int
    conversations: int
    memories: int
    bursts: int

    @property
    def audit_events(self) -> int:
        return self.bursts * EVENTS_A_BURST


EVENTS_A_BURST = 6


def _create_tables(connection: Connection) -> None:
    with connection.transaction():
        other = connection.execute(sql.demo("other_tables"), {}).fetchone()
        if other is not None:
            raise DemoRefusedError(
                f"database {connection.info.dbname} has the table {other[0]}, which the demo did not create; "
                "nothing was changed. The demo deletes rows without asking, so it only uses a database of "
                "its own: unset OPS_DATABASE_URL for an embedded PostgreSQL, or set it to an empty database"
            )
        connection.execute(sql.demo("tables"))


def _earlier(connection: Connection, report: Report) -> Filled | None:
    fill = connection.execute(sql.demo("last_fill")).fetchone()
    if fill is None:
        return None
    sessions, memories, audit_events, seed, scale, as_of = fill
    report(
        f"The sample application is already filled (seed {seed}, scale {scale:g}, up to "
        f"{as_of:%Y-%m-%d %H:%M} UTC); nothing was changed"
    )
    return Filled(False, sessions, memories, audit_events, 0.0)


def _create_partitions(connection: Connection, as_of: datetime) -> None:
    last = as_of.astimezone(UTC).date()
    premake_days(connection, find_relation(connection, audit_logs()), last - timedelta(days=DAYS), last)


def _fill_all(connection: Connection, seed: int, scale: float, as_of: datetime, report: Report) -> _Rows:
    with connection.transaction():
        connection.execute(sql.demo("prepare"))
        given = {"seed": seed, "scale": scale, "as_of": as_of}
        rows = _Rows(*row(connection, sql.demo("start"), given))
        connection.execute(sql.demo("hours"))
        connection.execute(sql.demo("kinds"))
        steps = (
            ("users", rows.users, 1),
            ("sessions", rows.sessions, 1),
            ("conversations", rows.conversations, 1),
            ("memories", rows.memories, 1),
            ("audit_logs", rows.bursts, EVENTS_A_BURST),
        )
        for table, numbers, rows_each in steps:
            _fill_table(connection, table, numbers, rows_each, report)
        counts = {
            "sessions": rows.sessions,
            "memories": rows.memories,
            "audit_events": rows.audit_events,
        }
        connection.execute(sql.demo("record_fill"), given | counts)
    return rows


def _fill_table(connection: Connection, table: str, numbers: int, rows_each: int, report: Report) -> None:
    # In batches: the server keeps an event for every row of a statement until its foreign keys are checked.
    piece = ROWS_A_STATEMENT // rows_each
    for first in range(1, numbers + 1, piece):
        last = min(first + piece - 1, numbers)
        connection.execute(sql.demo(f"fill_{table}"), {"from_number": first, "to_number": last})
        report(f"{table}: {last * rows_each:,} of {numbers * rows_each:,} rows")

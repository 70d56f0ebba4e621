"""Rows on hold are kept and the other expired rows deleted, as planned, for random rows and holds."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ops_pipeline.holds import holds
from ops_pipeline.maintenance.kinds import carry_out
from ops_pipeline.maintenance.plan import Planning
from ops_pipeline.maintenance.retention.plan import plan_retention
from ops_pipeline.maintenance.retention.policy import Retention
from ops_pipeline.policies.model import GuardLimits
from ops_pipeline.postgres.connection import Connection

NOW = datetime.now(UTC)
EVERYTHING = GuardLimits(max_fraction=1.0)
TABLES = {
    "plain": "CREATE TABLE sessions (id int, tenant int, created_at timestamptz)",
    "partitioned": (
        "CREATE TABLE sessions (id int, tenant int, created_at timestamptz) PARTITION BY RANGE (created_at);"
        "CREATE TABLE sessions_rest PARTITION OF sessions DEFAULT"
    ),
}


@dataclass(frozen=True)
class Row:
    """A row of that age in days; None: without a time. A tenant of None is NULL."""

    days: int | None
    tenant: int | None


@dataclass(frozen=True)
class Wanted:
    """A hold on a tenant, on a range of days, or on both, and its state."""

    tenant: int | None
    oldest: int | None
    newest: int | None
    state: str

    @property
    def where(self) -> str:
        parts = [] if self.tenant is None else [f"tenant = {self.tenant}"]
        parts += [] if self.oldest is None else [f"created_at >= {_ago(self.oldest).isoformat()}"]
        parts += [] if self.newest is None else [f"created_at < {_ago(self.newest).isoformat()}"]
        return " AND ".join(parts) or "id = 0"

    def covers(self, number: int, row: Row) -> bool:
        """The rules of a hold, implemented here independently."""
        if self.state != "active":
            return False
        if self.tenant is None and self.oldest is None and self.newest is None:
            return number == 0
        if self.tenant is not None and row.tenant != self.tenant:
            return False
        if (self.oldest is not None or self.newest is not None) and row.days is None:
            return False
        at = row.days or 0
        return (self.oldest is None or at <= self.oldest) and (self.newest is None or at > self.newest)


def _ago(days: int) -> datetime:
    return NOW - timedelta(days=days)


DAYS = st.integers(0, 60)
TENANT = st.one_of(st.none(), st.integers(1, 2))
BOUND = st.one_of(st.none(), st.none(), DAYS)
ROWS = st.lists(st.builds(Row, st.one_of(st.none(), DAYS), TENANT), max_size=30)
HOLDS = st.lists(
    st.builds(
        Wanted,
        TENANT,
        BOUND,
        BOUND,
        st.sampled_from(["active", "active", "released", "ended"]),
    ),
    max_size=4,
)


@pytest.mark.parametrize("table", TABLES)
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=ROWS, wanted=HOLDS, keep=st.integers(1, 60))
def test_rows_on_hold_are_kept_and_the_other_expired_rows_are_deleted(
    connection: Connection,
    retention: Retention,
    table: str,
    rows: list[Row],
    wanted: list[Wanted],
    keep: int,
) -> None:
    connection.execute(
        "DROP TABLE IF EXISTS sessions; TRUNCATE ops.legal_holds, ops.maintenance_runs CASCADE"
    )
    connection.execute(TABLES[table])
    with connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO sessions VALUES (%s, %s, %s)",
            [
                (number, row.tenant, None if row.days is None else _ago(row.days))
                for number, row in enumerate(rows)
            ],
        )
    for each in wanted:
        _add(connection, each)
    # Half a day away from every row's time, so that no row is at the limit.
    policy = replace(retention, keep=timedelta(days=keep) - timedelta(hours=12), guard=EVERYTHING)
    due = {number for number, row in enumerate(rows) if row.days is not None and row.days >= keep}
    held = {number for number in due if any(each.covers(number, rows[number]) for each in wanted)}

    plan = plan_retention(Planning(connection, 10), policy)
    result = carry_out(connection, policy)

    left = {number for (number,) in connection.execute("SELECT id FROM sessions")}
    assert left == set(range(len(rows))) - (due - held)
    assert (plan.rows.eligible, plan.rows.on_hold) == (len(due - held), len(held))
    assert (result.removed, result.remaining, result.outcome) == (plan.rows.eligible, 0, "done")


def _add(connection: Connection, wanted: Wanted) -> None:
    added = holds.add(connection, "sessions", wanted.where, reason="x", owner="y", by="z")
    if wanted.state == "released":
        holds.release(connection, added.id, by="z")
    if wanted.state == "ended":
        connection.execute(
            "UPDATE ops.legal_holds SET ends_at = now() - interval '1 second' WHERE id = %s", [added.id]
        )

"""A session that locks a table even against reading delays a run, and is named if it lasts."""

from collections.abc import Iterator

import psycopg
import pytest

from ops_pipeline.maintenance import kinds, lock_wait
from ops_pipeline.maintenance.kinds import carry_out
from ops_pipeline.maintenance.lock_wait import TableLockedError
from ops_pipeline.maintenance.orphans.policy import Orphans
from ops_pipeline.maintenance.plan import Unplanned
from ops_pipeline.maintenance.retention.policy import Retention
from ops_pipeline.policies.model import Policy
from ops_pipeline.postgres.connection import Connection, connect, scalar

NAMED = r"pid \d+ \(their migration\) of user postgres holds AccessExclusiveLock on public.{table}"


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch, application: Connection) -> None:
    monkeypatch.setattr(lock_wait, "PAUSES_SECONDS", (0.01, 0.01))
    application.execute("SET lock_timeout = '50ms'")


@pytest.fixture
def migration(application: Connection, url: str) -> Iterator[psycopg.Connection]:
    """Another session, which locks a table."""
    with connect(url, "their migration") as other:
        other.execute("BEGIN")
        yield other
        other.execute("ROLLBACK")


@pytest.mark.parametrize("kind", ["retention", "orphans"])
def test_a_lock_that_lasts_fails_the_run_and_is_named(
    migration: Connection, application: Connection, retention: Retention, orphans: Orphans, kind: str
) -> None:
    policy: Policy = retention if kind == "retention" else orphans
    table = "sessions" if kind == "retention" else "memories"
    migration.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")

    with pytest.raises(TableLockedError, match=NAMED.format(table=table)):
        carry_out(application, policy)

    reason = scalar(application, "SELECT stopped_reason FROM ops.maintenance_runs")
    assert reason.startswith("waited for a lock: pid ")
    migration.execute("ROLLBACK; BEGIN")
    assert carry_out(application, policy).outcome == "done"


def test_a_run_goes_on_when_the_lock_is_released(
    migration: Connection, application: Connection, retention: Retention
) -> None:
    migration.execute("LOCK TABLE sessions IN ACCESS EXCLUSIVE MODE")
    told: list[str] = []

    def release(line: str) -> None:
        told.append(line)
        migration.execute("ROLLBACK; BEGIN")

    result = carry_out(application, retention, report=release)

    assert (result.outcome, result.removed) == ("done", 3000)
    assert "their migration" in told[0]
    assert "tries again" in told[0]


def test_a_run_that_waits_for_a_lock_can_be_stopped(
    migration: Connection, application: Connection, retention: Retention
) -> None:
    migration.execute("LOCK TABLE sessions IN ACCESS EXCLUSIVE MODE")

    result = carry_out(application, retention, stop=lambda: "told to")

    assert (result.outcome, result.stopped_reason, result.removed) == ("stopped", "told to", 0)


def test_what_a_run_waits_for_is_recorded_while_it_waits(
    migration: Connection, application: Connection, retention: Retention
) -> None:
    migration.execute("LOCK TABLE sessions IN ACCESS EXCLUSIVE MODE")
    seen = []

    def look() -> None:
        seen.append(application.execute("SELECT throttle_reason FROM ops.maintenance_runs").fetchall())
        migration.execute("ROLLBACK; BEGIN")

    result = carry_out(application, retention, stop=look)

    assert result.outcome == "done"
    (reason,) = seen[0][0]
    assert reason.startswith("waited for a lock: pid ")
    assert seen[-1] == [(None,)]


def test_a_plan_names_the_session_as_well(
    migration: Connection, application: Connection, retention: Retention
) -> None:
    migration.execute("LOCK TABLE sessions IN ACCESS EXCLUSIVE MODE")

    (planned,) = kinds.plan(application, [retention])

    assert isinstance(planned, Unplanned)
    assert "their migration" in planned.problem

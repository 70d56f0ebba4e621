"""A paused database: runs stop within a batch, later ones do nothing, and say so, until it is resumed."""

import threading
from collections.abc import Callable
from typing import Any

import pytest

from ops_pipeline.audit_log import AuditLogRepository, NotDoneError
from ops_pipeline.maintenance.kinds import carry_out, kind_of, plan
from ops_pipeline.maintenance.orphans.policy import Orphans
from ops_pipeline.maintenance.result import RunResult
from ops_pipeline.maintenance.retention.policy import Retention
from ops_pipeline.maintenance.vacuum.policy import Vacuum
from ops_pipeline.partitions.adopt.adopt import adopt_table
from ops_pipeline.partitions.adopt.adoption import AdoptionError
from ops_pipeline.partitions.adopt.copy import CopySizes
from ops_pipeline.partitions.adopt.obstacles import table_to_adopt
from ops_pipeline.pauses import pauses, watch
from ops_pipeline.pauses.watch import PauseWatch
from ops_pipeline.policies.model import Database
from ops_pipeline.postgres.connection import Connection, connect, scalar
from ops_pipeline.postgres.relation import TableName
from ops_pipeline.settings import Settings
from ops_pipeline.throttle.batch_size import Sizes
from tests.eventually import eventually
from tests.integration.conftest import POLICIES

SESSION_ROWS = "SELECT count(*) FROM sessions"
HISTORY = "SELECT policy, outcome, rows_removed FROM ops.maintenance_runs ORDER BY id"
SLOW = (
    "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS"
    " $$ BEGIN PERFORM pg_sleep(0.2); RETURN NULL; END $$;"
    "CREATE TRIGGER slow BEFORE DELETE ON sessions FOR EACH STATEMENT EXECUTE FUNCTION slow()"
)

VISITS = """
CREATE TABLE visits (at timestamptz NOT NULL) PARTITION BY RANGE (at);
CREATE TABLE visits_1 PARTITION OF visits FOR VALUES FROM ('2020-01-01+00') TO ('2020-01-02+00');
CREATE TABLE visits_2 PARTITION OF visits FOR VALUES FROM ('2020-01-02+00') TO ('2020-01-03+00');
CREATE TABLE visits_3 PARTITION OF visits FOR VALUES FROM ('2020-01-03+00') TO ('2020-01-04+00');
INSERT INTO visits
SELECT '2020-01-01 12:00+00'::timestamptz + make_interval(days => n) FROM generate_series(0, 2) n;
"""


@pytest.fixture
def noticed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers look for a pause between any two batches."""
    monkeypatch.setattr(watch, "LOOK_EVERY_SECONDS", 0.0)


def _pause(connection: Connection, **more: Any) -> pauses.Pause:
    return pauses.pause(connection, reason="replica trouble", by="ada", **more)


def _on_call(nth: int, do: Callable[[], object]) -> Callable[[], None]:
    """Called between batches; does it at the nth call."""
    calls = iter(range(1, 100_000))

    def stop() -> None:
        if next(calls) == nth:
            do()

    return stop


def test_a_run_at_work_stops_within_seconds_and_the_next_one_continues(
    application: Connection, retention: Retention, small_batches: None, url: str
) -> None:
    application.execute(SLOW)
    results: list[RunResult] = []

    def work() -> None:
        with connect(url, "worker") as worker:
            results.append(carry_out(worker, retention))

    at_work = threading.Thread(target=work)
    at_work.start()
    removing = "SELECT coalesce(max(rows_removed), 0) FROM ops.maintenance_runs"
    eventually(lambda: scalar(application, removing) > 0)
    _pause(application)
    removed_by_then = scalar(application, removing)
    at_work.join(timeout=60)

    (result,) = results
    assert result.outcome == "paused"
    assert "paused by ada since" in result.stopped_reason
    assert "replica trouble. To resume: opsctl resume --database app" in result.stopped_reason
    batches = watch.LOOK_EVERY_SECONDS / 0.2 + 2
    assert removed_by_then <= result.removed <= removed_by_then + batches * 600
    assert scalar(application, SESSION_ROWS) == 6000 - result.removed > 3000

    application.execute("DROP TRIGGER slow ON sessions")
    assert carry_out(application, retention).outcome == "paused"
    pauses.resume(application, by="bob")
    rest = carry_out(application, retention)
    assert (rest.outcome, rest.removed, rest.remaining) == ("done", 3000 - result.removed, 0)


def test_a_paused_run_leaves_its_position_and_counts_no_rows(
    application: Connection, retention: Retention, small_batches: None, noticed_at_once: None
) -> None:
    result = carry_out(application, retention, stop=_on_call(5, lambda: _pause(application)))

    assert (result.outcome, result.remaining) == ("paused", None)
    assert 0 < result.removed < 3000
    assert scalar(application, "SELECT count(*) FROM ops.maintenance_cursors") == 1
    ((outcome,),) = application.execute(
        "SELECT details ->> 'outcome' FROM audit_logs WHERE action = 'rows.removed'"
    )
    assert outcome == "paused"


def test_nothing_begins_while_paused_whatever_the_kind(
    application: Connection, read: Callable[..., Database]
) -> None:
    application.execute(
        "INSERT INTO memories (session_id) SELECT gen_random_uuid() FROM generate_series(1, 5)"
    )
    policies = read().policies
    _pause(application)

    results = [carry_out(application, policy, dagster_run_id="night") for policy in policies]

    ended = [(result.outcome, result.removed, result.remaining) for result in results]
    assert ended == [("paused", 0, None)] * 3
    assert scalar(application, SESSION_ROWS) == 6000
    assert scalar(application, "SELECT count(*) FROM memories") == 5
    assert scalar(application, "SELECT count(*) FROM ops.missing_parents") == 0, "no orphan was marked"
    assert application.execute(HISTORY).fetchall() == [(policy.name, "paused", 0) for policy in policies]
    planned, *_ = plan(application, policies)
    assert planned.rows.eligible == 3000, "a plan works"  # type: ignore[union-attr]


def test_no_check_fails_a_run_because_of_a_pause(
    application: Connection, read: Callable[..., Database]
) -> None:
    policies = read().policies
    _pause(application)
    for policy in policies:
        carry_out(application, policy)

    found = {
        check.name: check.ask(application) for policy in policies for check in kind_of(policy).checks(policy)
    }

    assert [name for name, result in found.items() if result.fails_run] == []
    assert not found["no_expired_rows"].passed, "rows have expired, whatever the reason"
    assert found["guard_passed"].description == "The guard did not apply: the last run was paused"
    assert "maintenance was paused by ada" in found["dead_rows_removed"].description


def test_the_audit_log_is_not_cleaned_up_while_paused(connection: Connection) -> None:
    _pause(connection)

    with pytest.raises(NotDoneError, match=r"No event was deleted: paused by ada .*: opsctl resume$"):
        AuditLogRepository(connection).cleanup_old_logs(30)


def test_orphans_stop_between_batches(
    application: Connection, orphans: Orphans, small_batches: None, noticed_at_once: None
) -> None:
    application.execute(
        "INSERT INTO memories (session_id) SELECT id FROM sessions;"
        "INSERT INTO memories (session_id) SELECT gen_random_uuid() FROM generate_series(1, 2000)"
    )

    def between() -> None:
        if scalar(application, "SELECT max(rows_removed) FROM ops.maintenance_runs") and not pauses.active(
            application
        ):
            _pause(application)

    result = carry_out(application, orphans, stop=between)
    rows = scalar(application, "SELECT count(*) FROM memories")

    assert (result.outcome, result.removed, result.remaining) == ("paused", 8000 - rows, None)
    assert 6000 < rows < 8000
    pauses.resume(application, by="ada")
    assert carry_out(application, orphans).outcome == "done"
    assert scalar(application, "SELECT count(*) FROM memories") == 6000


def test_the_sweep_for_orphans_stops_as_well(
    application: Connection, orphans: Orphans, small_batches: None, noticed_at_once: None
) -> None:
    application.execute("INSERT INTO memories (session_id) SELECT id FROM sessions")

    result = carry_out(application, orphans, stop=_on_call(3, lambda: _pause(application)))

    assert (result.outcome, result.removed) == ("paused", 0)
    assert scalar(application, "SELECT count(*) FROM ops.maintenance_cursors") == 1


def test_vacuum_stops_between_tables(
    application: Connection, vacuum: Vacuum, url: str, noticed_at_once: None
) -> None:
    application.execute("INSERT INTO memories (content) SELECT 'x' FROM generate_series(1, 6000)")
    application.execute("DELETE FROM sessions; DELETE FROM memories")
    application.execute("SELECT pg_stat_force_next_flush()")
    reported: list[str] = []

    def report(line: str) -> None:
        reported.append(line)
        if "VACUUM, dead rows" in line:
            with connect(url, "on call") as other:
                _pause(other)

    result = carry_out(application, vacuum, report=report)

    assert result.outcome == "paused"
    assert [table["outcome"] for table in result.details["tables"]] == ["done"]


def test_whole_partitions_stop_between_two_drops(
    connection: Connection, read: Callable[..., Database], noticed_at_once: None, url: str
) -> None:
    connection.execute(VISITS)
    text = POLICIES.replace(
        "{table: sessions, column: created_at, keep: 30 days}",
        "{table: visits, column: at, keep: 30 days, guard: {max_fraction: 1}}",
    )
    (policy, *_) = read(text).policies

    def report(line: str) -> None:
        if "dropped" in line:
            with connect(url, "on call") as other:
                _pause(other)

    result = carry_out(connection, policy, report=report)

    assert (result.outcome, result.removed) == ("paused", 1)
    assert scalar(connection, "SELECT count(*) FROM visits") == 2


def test_an_adoption_stops_between_batches_and_continues(
    application: Connection, noticed_at_once: None
) -> None:
    application.execute("ALTER TABLE sessions ALTER created_at SET NOT NULL")
    table = table_to_adopt(application, TableName.parse("sessions"))
    sizes = CopySizes(copied=Sizes(first=1000, least=1000, most=1000))

    def report(line: str) -> None:
        if "copying rows" in line:
            _pause(application)

    with pytest.raises(AdoptionError, match="paused by ada"):
        adopt_table(
            application, table, column="created_at", report=report, sizes=sizes,
            stop=PauseWatch(application).reason,
        )  # fmt: skip
    assert scalar(application, SESSION_ROWS) == 6000

    pauses.resume(application, by="ada")
    table = table_to_adopt(application, TableName.parse("sessions"))
    adopted = adopt_table(
        application, table, column="created_at", sizes=sizes, stop=PauseWatch(application).reason
    )
    assert adopted.rows == 6000


def test_a_run_that_is_throttled_stops_when_paused(
    application: Connection, retention: Retention, tmp_path: Any, url: str, noticed_at_once: None
) -> None:
    (tmp_path / "throttle").touch()

    def report(line: str) -> None:
        if "throttled because of throttle_file" in line:
            with connect(url, "on call") as other:
                _pause(other)

    result = carry_out(
        application, retention, settings=Settings(throttle_file=tmp_path / "throttle"), report=report
    )

    assert (result.outcome, result.removed) == ("paused", 0)

"""A run that is throttled says so while it waits: in the history, in its log and in the terminal."""

import threading
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from ops_pipeline.cli import tables
from ops_pipeline.maintenance import history
from ops_pipeline.maintenance.kinds import carry_out
from ops_pipeline.maintenance.result import RunResult
from ops_pipeline.maintenance.retention.policy import Retention
from ops_pipeline.postgres.connection import Connection, connect, scalar
from ops_pipeline.settings import Settings
from tests.eventually import eventually

STATE = "SELECT throttle_reason, throttled_since IS NOT NULL, outcome FROM ops.maintenance_runs"


@pytest.fixture
def throttle_file(tmp_path: Path) -> Path:
    file = tmp_path / "throttle"
    file.touch()
    return file


def test_reason_and_start_are_recorded_while_it_waits_and_cleared_afterwards(
    application: Connection, retention: Retention, url: str, throttle_file: Path
) -> None:
    reported: list[str] = []
    results: list[RunResult] = []
    while_it_continues: list[tuple[str | None, bool, str]] = []

    def report(line: str) -> None:
        reported.append(line)
        if "continues" in line:
            with connect(url, "watch") as other:
                while_it_continues.extend(other.execute(STATE).fetchall())

    def work() -> None:
        with connect(url, "worker") as worker:
            given = Settings(throttle_file=throttle_file)
            results.append(carry_out(worker, retention, settings=given, report=report))

    at_work = threading.Thread(target=work)
    at_work.start()
    try:
        waiting = eventually(
            lambda: scalar(application, "SELECT max(throttle_reason) FROM ops.maintenance_runs")
        )
        (result,) = history.results(application)
        screen = StringIO()
        Console(file=screen, width=200).print(tables.results_table([result]))
    finally:
        throttle_file.unlink()
        at_work.join(timeout=60)

    said = f"throttle_file: the file {throttle_file} exists"
    assert waiting == said
    assert result.outcome == "running"
    assert result.throttle_reason == said
    assert result.throttled_for is not None
    assert 0 < result.throttled_for < 60
    assert "throttled for" in screen.getvalue()
    assert "throttle_file" in screen.getvalue()
    assert reported[0] == f"app/retention/sessions: throttled because of {said}"
    assert any("continues, after it was throttled for" in line for line in reported)
    assert while_it_continues == [(None, False, "running")]
    assert [(ended.outcome, ended.removed) for ended in results] == [("done", 3000)]
    assert application.execute(STATE).fetchall() == [(None, False, "done")]


def test_a_run_that_dies_while_it_is_throttled_is_not_throttled_for_ever(
    application: Connection, retention: Retention
) -> None:
    application.execute(
        "INSERT INTO ops.maintenance_runs (policy, throttle_reason, throttled_since)"
        " VALUES ('app/retention/sessions', 'replica_lag', now())"
    )

    assert history.interrupt_dead(application) == ["app/retention/sessions"]

    assert application.execute(STATE).fetchall() == [(None, False, "interrupted")]


def test_a_stop_while_it_waits_clears_it_too(
    application: Connection, retention: Retention, throttle_file: Path
) -> None:
    reported: list[str] = []
    given = Settings(throttle_file=throttle_file)

    result = carry_out(
        application,
        retention,
        settings=given,
        stop=lambda: "asked to" if reported else None,
        report=reported.append,
    )

    assert (result.outcome, result.stopped_reason) == ("stopped", "asked to")
    assert application.execute(STATE).fetchall() == [(None, False, "stopped")]

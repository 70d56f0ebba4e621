"""While VACUUM runs, its progress is reported and recorded."""

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from ops_pipeline.maintenance.kinds import carry_out
from ops_pipeline.maintenance.result import RunResult
from ops_pipeline.maintenance.vacuum import progress
from ops_pipeline.maintenance.vacuum.policy import Vacuum
from ops_pipeline.maintenance.vacuum.progress import PhaseEstimate, VacuumProgress
from ops_pipeline.postgres.connection import Connection, connect, scalar

KEPT = "SELECT details -> 'progress' FROM ops.maintenance_runs WHERE outcome = 'running'"
SCANNING = VacuumProgress("public.t", "scanning heap", 1000, 0, 0, 0, 1, 0)


@pytest.fixture
def slowly(application: Connection, vacuum: Vacuum, monkeypatch: pytest.MonkeyPatch) -> Vacuum:
    """A VACUUM of about two seconds whose progress is read often."""
    application.execute("DELETE FROM sessions; SET vacuum_cost_limit = 20")
    monkeypatch.setattr(progress, "ASK_SECONDS", 0.02)
    monkeypatch.setattr(progress, "REPORT_SECONDS", 0.0)
    return replace(vacuum, cost_delay=10.0)


def test_phase_and_share_are_reported_and_recorded_with_the_run(
    application: Connection, slowly: Vacuum, url: str
) -> None:
    for cost_limit in (20, 4, 1):  # on a busy machine it may end before its progress was read twice
        application.execute("INSERT INTO sessions (created_at) SELECT now() FROM generate_series(1, 3000)")
        application.execute("DELETE FROM sessions")
        application.execute("SELECT set_config('vacuum_cost_limit', %s, false)", [str(cost_limit)])
        reports, saved, result = _watched(application, slowly, url)
        if len(set(_shares(reports))) >= 2:
            break

    shares = _shares(reports)
    assert len(set(shares)) >= 2
    assert shares == sorted(shares)
    assert any("s remaining in this phase" in report for report in reports)
    seen = {(details["table"], details["phase"]) for details in saved if details}
    assert ("public.sessions", "scanning heap") in seen
    assert {table for table, _ in seen} <= {"public.sessions", "TOAST table of public.sessions"}
    assert result.outcome == "done"
    assert result.details["progress"] is None


def _watched(
    application: Connection, policy: Vacuum, url: str
) -> tuple[list[str], list[dict[str, Any]], RunResult]:
    """The reports of a run, its recorded details meanwhile, and its result."""
    reports: list[str] = []
    saved: list[dict[str, Any]] = []
    with connect(url, "reader") as reader:

        def report(line: str) -> None:
            reports.append(line)
            if "scanned" in line:
                saved.append(scalar(reader, KEPT))

        return reports, saved, carry_out(application, policy, report=report)


def _shares(reports: list[str]) -> list[int]:
    pattern = r": public\.sessions: scanning heap, (\d+)% of the table scanned"
    return [int(match.group(1)) for report in reports if (match := re.search(pattern, report))]


def test_without_a_second_connection_vacuum_runs_without_progress_and_says_so(
    application: Connection, slowly: Vacuum, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "url_of", lambda _: "postgresql://nobody@127.0.0.1:1/nowhere")
    told: list[str] = []

    assert carry_out(application, slowly, report=told.append).outcome == "done"
    assert any("cannot report the progress of VACUUM" in line for line in told)


@pytest.fixture
def clock() -> Callable[[], float]:
    moments = iter([0.0, 10.0, 20.0, 30.0])
    return lambda: next(moments)


def test_the_time_left_follows_from_the_speed_so_far(clock: Callable[[], float]) -> None:
    estimate = PhaseEstimate(clock)

    assert estimate.with_time_left(SCANNING).seconds_remaining is None
    assert estimate.with_time_left(replace(SCANNING, scanned=250)).seconds_remaining == 30
    assert estimate.with_time_left(replace(SCANNING, scanned=500)).seconds_remaining == 20


def test_each_phase_has_its_own_estimate(clock: Callable[[], float]) -> None:
    estimate = PhaseEstimate(clock)
    estimate.with_time_left(SCANNING)
    vacuuming = replace(SCANNING, phase="vacuuming heap", scanned=1000)

    assert estimate.with_time_left(vacuuming).seconds_remaining is None
    assert estimate.with_time_left(replace(vacuuming, vacuumed=500)).seconds_remaining == 10

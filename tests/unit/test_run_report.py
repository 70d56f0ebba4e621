"""The report of a run of all policies, and its exit code."""

from dataclasses import replace

import pytest
from rich.console import Console

from ops_pipeline.cli.output import NEEDS_APPROVAL, notes
from ops_pipeline.cli.run_report import RunReport, show_results
from ops_pipeline.maintenance.history import UNRECORDED
from ops_pipeline.maintenance.result import Outcome, RunResult
from ops_pipeline.orchestration.failure import FailedStep

WAITING = FailedStep("s", "too many", "app/retention/sessions", "needs_approval")
DAMAGED = FailedStep("s", "damaged", "app/retention/sessions", checks=("archive_verified",))
REFUSED = FailedStep("m", "refused", "app/orphans/memories.session_id")


def _result(policy: str, outcome: Outcome = "done", remaining: int | None = 0) -> RunResult:
    return RunResult(policy, outcome, "", scanned=0, removed=0, remaining=remaining, seconds=0)


def _report(*results: RunResult, failures: tuple[FailedStep, ...] = ()) -> RunReport:
    deleting = frozenset(result.policy for result in results if not result.policy.endswith("/vacuum"))
    return RunReport("id", "FAILURE" if failures else "SUCCESS", results, failures, deleting)


@pytest.mark.parametrize(
    ("outcome", "failures", "code"),
    [
        ("done", (), 0),
        ("needs_approval", (WAITING,), NEEDS_APPROVAL),
        ("needs_approval", (DAMAGED,), 1),
        ("needs_approval", (WAITING, REFUSED), 1),
        ("stopped", (FailedStep("s", "rows remain", "app/retention/sessions", "stopped"),), 1),
        ("failed", (REFUSED,), 1),
        ("paused", (), 1),
        ("stopped", (), 1),
        ("observed", (), 0),
    ],
)
def test_the_exit_code_says_whether_a_person_only_has_to_approve(
    outcome: Outcome, failures: tuple[FailedStep, ...], code: int
) -> None:
    assert _report(_result("app/retention/sessions", outcome), failures=failures).exit_code == code


def test_remaining_rows_are_reported_whatever_the_table_is_called() -> None:
    vacuum = _result("app/vacuum", remaining=None)

    assert _report(_result("app/retention/vacuum_log"), vacuum).nothing_remaining
    assert not _report(_result("app/retention/vacuum_log", remaining=3), vacuum).nothing_remaining


def test_a_run_that_is_not_in_the_audit_log_says_so() -> None:
    details = {UNRECORDED: "this run is not recorded in an audit log"}
    removed = replace(_result("app/retention/sessions"), removed=7, details=details)
    nothing = replace(_result("app/retention/visits"), details=details)
    console = Console(width=200)

    with console.capture() as shown:
        show_results(console, _report(removed, nothing))

    said = [line for line in shown.get().splitlines() if "not recorded" in line]
    assert said == ["app/retention/sessions: this run is not recorded in an audit log"]


def test_a_pause_is_told_once_for_all_policies_and_an_observed_policy_says_what_it_would_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPS_DATABASE_URL", "postgresql://app@db.example/app")  # not the embedded server
    paused = "paused by ada since 2026-11-29 23:00 UTC: trouble. To resume: opsctl resume --database app"
    would = "observed only: this run would delete 3,000 of 6,000 rows (50.0%). Nothing was changed"
    report = _report(
        replace(_result("app/retention/sessions", "paused", None), stopped_reason=paused),
        replace(_result("app/vacuum", "paused", None), stopped_reason=paused),
        replace(_result("other/retention/sessions", "observed", 3000), stopped_reason=would),
    )
    console = Console(width=250)

    with console.capture() as shown, notes.capture() as told:
        show_results(console, report)

    assert told.get().splitlines() == [f"app/retention/sessions, app/vacuum: {paused}"]
    assert f"other/retention/sessions: {would}" in shown.get().splitlines()
    assert "but maintenance is paused" in shown.get()

"""The commands status, history and check, as a person in a terminal uses them."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from ops_pipeline.access import keys
from ops_pipeline.cli.api_health import ApiHealth
from ops_pipeline.holds import holds
from ops_pipeline.maintenance.guard import approvals
from ops_pipeline.maintenance.kinds import carry_out
from ops_pipeline.policies.model import Database
from ops_pipeline.postgres.connection import Connection, scalar
from tests.integration.terminal.conftest import GUARDED, OPSCTL


def test_status_before_any_run_says_so(application: Connection, opsctl: OPSCTL) -> None:
    shown = opsctl("status")

    assert shown.code == 1
    assert "app: last run   none yet" in shown.out
    assert "app/retention/sessions has never had a complete run" in shown.out
    assert "API at http://127.0.0.1:" in shown.out


def test_status_shows_the_last_run_the_backlog_and_what_to_approve(
    guarded: Connection, opsctl: OPSCTL
) -> None:
    holds.add(
        guarded, "sessions", "created_at < 2020-01-01", reason="case", owner="legal", by="me", ends_at=None
    )
    plan = next(plan for plan in approvals.pending(guarded) if plan.follows is None)

    shown = opsctl("status")

    assert shown.code == 3, shown
    assert re.search(r"^app/retention/sessions +needs approval +0 +3,000 ", shown.out, re.MULTILINE)
    assert f"opsctl approve {plan.id}" in shown.out
    assert "holds      1 active" in shown.out
    assert "next run" in shown.out
    content = json.loads(opsctl("status", "--json").out)
    assert content["databases"][0]["policies"][0]["outcome"] == "needs_approval"
    assert content["databases"][0]["holds"] == {"active": 1}


def test_status_of_a_database_whose_policies_are_done(
    application: Connection, opsctl: OPSCTL, read: Callable[..., Database]
) -> None:
    for policy in read().policies:
        carry_out(application, policy)

    shown = opsctl("status")

    assert shown.code == 0, shown
    assert "policies   no problem" in shown.out
    assert "next run   none by itself: no daemon; runs are started by `opsctl run`" in shown.out
    assert re.search(r"last run   .* UTC: 3 done$", shown.out, re.MULTILINE)


@pytest.mark.parametrize(
    ("ended", "said"),
    [
        (("failed", "lock timeout", None), "its newest run ended as failed (lock timeout)"),
        (("interrupted", "lost", None), "its newest run ended as interrupted (lost)"),
        (("stopped", "budget", 7), "its newest run ended as stopped (budget); 7 rows remain"),
        (("needs_approval", "75%", 7), "7 rows remain until the next run"),
    ],
    ids=["failed", "interrupted", "stopped", "approved"],
)
def test_a_newest_run_that_was_not_complete_is_a_problem(
    application: Connection, opsctl: OPSCTL, read: Callable[..., Database], ended: tuple[object], said: str
) -> None:
    for policy in read().policies:
        carry_out(application, policy)
    carry_out(application, read().policies[0], dagster_run_id="later")
    application.execute(
        "UPDATE ops.maintenance_runs SET (outcome, stopped_reason, rows_remaining) = (%s, %s, %s) "
        "WHERE dagster_run_id = 'later'",
        ended,
    )

    shown = opsctl("status")

    assert shown.code == 1, shown
    assert f"app/retention/sessions: {said}" in shown.out
    assert re.search(
        r"last run   .* UTC: 1 [a-z ]+; 2 policies were not part of this run$", shown.out, re.MULTILINE
    )


@pytest.mark.parametrize(("failed", "code"), [("maintenance", 0), ("archive", 1)])
def test_a_failed_check_of_the_api_counts_unless_status_has_judged_it_itself(
    application: Connection,
    opsctl: OPSCTL,
    read: Callable[..., Database],
    monkeypatch: pytest.MonkeyPatch,
    failed: str,
    code: int,
) -> None:
    for policy in read().policies:
        carry_out(application, policy)
    monkeypatch.setattr(
        "ops_pipeline.cli.status.api_health", lambda _: ApiHealth("http://here", "degraded", (failed,))
    )

    assert opsctl("status").code == code


def test_history_lists_the_newest_runs_of_all_policies_or_of_one(
    guarded: Connection, opsctl: OPSCTL, read: Callable[..., Database]
) -> None:
    carry_out(guarded, read(GUARDED).policies[0], dagster_run_id="a-dagster-run")

    everything = json.loads(opsctl("history", "--json").out)["runs"]
    one = json.loads(opsctl("history", "--policy", "app/retention/sessions", "--json").out)["runs"]
    newest = opsctl("history", "--policy", "app/retention/sessions", "--limit", "1")

    assert len(everything) == 4
    assert [run["policy"] for run in one] == ["app/retention/sessions"] * 2
    assert one[0]["dagster_run_id"] == "a-dagster-run"
    titles, row = newest.out.splitlines()
    assert titles.split()[-3:] == ["why", "Dagster", "run"]
    assert titles.startswith("started")
    assert "needs approval" in row
    assert "Needs approval: this run would delete 3,000 of 6,000 rows" in row


def test_history_of_an_unknown_policy_names_the_nearest(application: Connection, opsctl: OPSCTL) -> None:
    refused = opsctl("history", "--policy", "app/retention/session")

    assert refused.code == 2
    assert 'did you mean "app/retention/sessions"?' in refused.err


def test_check_names_the_line_of_each_problem(
    application: Connection, opsctl: OPSCTL, tmp_path: Path
) -> None:
    assert opsctl("check").code == 0
    (tmp_path / "policies.yaml").write_text(
        GUARDED.replace("table: sessions, column: created_at", "table: sesions, column: created_at").replace(
            "column: session_id", "column: session"
        )
    )

    wrong = opsctl("check")

    assert wrong.code == 2
    first, second = wrong.err.splitlines()
    assert first.startswith("policies.yaml:7: databases.app.retention[0].table: ")
    assert second.startswith("policies.yaml:8: databases.app.orphans[0].column: ")
    assert len(json.loads(opsctl("check", "--json").out)["problems"]) == 2


def test_check_names_what_a_run_would_refuse(application: Connection, opsctl: OPSCTL) -> None:
    application.execute("CREATE TABLE child (session_id uuid REFERENCES sessions)")
    application.execute("INSERT INTO child SELECT id FROM sessions, generate_series(1, 50)")

    refused = opsctl("check")

    assert refused.code == 2
    (problem,) = refused.err.splitlines()
    assert problem.startswith(
        "policies.yaml:6: databases.app.retention[0].table: public.child.session_id refers"
    )
    assert problem.endswith("Create the index first: CREATE INDEX CONCURRENTLY ON public.child (session_id)")


def test_check_reports_a_file_that_cannot_be_parsed(
    application: Connection, opsctl: OPSCTL, tmp_path: Path
) -> None:
    (tmp_path / "policies.yaml").write_text(GUARDED.replace("keep: 30 days", "keep: 30 moons"))

    wrong = opsctl("check", "--json")

    assert wrong.code == 2
    (problem,) = json.loads(wrong.out)["problems"]
    assert problem.startswith("policies.yaml:7: databases.app.retention[0].keep: ")


@pytest.mark.parametrize("command", ["plan", "check", "status"])
def test_a_database_without_policies_is_said_so(
    application: Connection, opsctl: OPSCTL, tmp_path: Path, command: str
) -> None:
    (tmp_path / "policies.yaml").write_text("version: 1\ndatabases:\n  app:\n    url: ${OPS_DATABASE_URL}\n")

    shown = opsctl(command)

    assert shown.code == 0, shown
    assert "app has no policies, so nothing runs in it. Add one under policies.yaml:3: retention" in shown.out


def test_status_says_why_a_run_is_throttled_and_fails_while_the_throttle_file_exists(
    application: Connection,
    opsctl: OPSCTL,
    read: Callable[..., Database],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    application.execute(
        "INSERT INTO ops.maintenance_runs (policy, throttle_reason, throttled_since) "
        "VALUES ('app/retention/sessions', 'replica_lag: 43 s behind', '2026-03-01 02:10:07+00')"
    )
    monkeypatch.setenv("OPS_THROTTLE_FILE", str(tmp_path / "throttle"))
    throttled = "throttled  app/retention/sessions: since 02:10:07 UTC, replica_lag: 43 s behind\n"

    assert throttled in opsctl("status").out
    application.execute("DELETE FROM ops.maintenance_runs")
    for policy in read().policies:
        carry_out(application, policy)
    shown = opsctl("status")
    assert (shown.code, "hrottled" in shown.out) == (0, False)
    (tmp_path / "throttle").touch()
    shown = opsctl("status")
    assert (shown.code, "Throttled: the file" in shown.out) == (1, True)


def test_a_key_is_revoked_by_the_first_characters_of_its_id(connection: Connection, opsctl: OPSCTL) -> None:
    first, second = (keys.create(connection, name, ["admin"]) for name in ("first", "second"))
    for created, key_id in ((first, "aaaa1111"), (second, "aaaa2222")):
        connection.execute(
            "UPDATE ops.api_keys SET id = %s WHERE id = %s",
            [f"{key_id}-0000-4000-8000-000000000000", created.id],
        )

    ambiguous = opsctl("keys", "revoke", "aaaa")
    revoked = opsctl("keys", "revoke", "aaaa1")

    assert ambiguous.code == 2
    assert "aaaa1111-0000-4000-8000-000000000000 (first)" in ambiguous.err
    assert revoked.out == "Revoked 1 key.\n"
    assert scalar(connection, "SELECT name FROM ops.api_keys WHERE revoked_at IS NULL") == "second"


@pytest.mark.parametrize("command", [["plan"], ["status"], ["check"], ["keys", "list"], ["migrate"]], ids=str)
def test_a_wrong_address_names_the_variable(
    url: str, opsctl: OPSCTL, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    monkeypatch.setenv("OPS_DATABASE_URL", url.rpartition("/")[0] + "/no_such_database")

    refused = opsctl(*command)

    assert refused.code == 1
    assert 'no connection was made: FATAL:  database "no_such_database" does not exist' in refused.err
    assert "Check OPS_DATABASE_URL" in refused.err
    assert "does not answer" not in refused.err

"""A policy that fails does not stop the others or VACUUM, and the run as a whole fails."""

from pathlib import Path

import dagster as dg
import pytest

from ops_pipeline.postgres.connection import Connection, scalar
from tests.integration.orchestration.conftest import Materialize

TABLES = """
CREATE TABLE visits (id int, at timestamptz);
CREATE TABLE refuses (id int, at timestamptz);
INSERT INTO visits SELECT n, now() - n * interval '1 day' FROM generate_series(1, 10) n;
INSERT INTO refuses TABLE visits;
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'this trigger refuses'; END $$;
CREATE TRIGGER refuse BEFORE DELETE ON refuses FOR EACH ROW EXECUTE FUNCTION refuse();
INSERT INTO memories (session_id) VALUES (gen_random_uuid());
"""
POLICIES = """
version: 1
databases:
  app:
    url: ${OPS_DATABASE_URL}
    guard: {max_fraction: 1}
    retention:
      - {table: missing, column: at, keep: 5 days, archive: true}
      - {table: refuses, column: at, keep: 5 days}
      - {table: sessions, column: created_at, keep: 30 days, archive: true, guard: {max_fraction: 0.1}}
      - {table: visits, column: at, keep: 5 days, archive: true}
    orphans:
      - {table: memories, column: session_id, references: sessions.id, grace_period: 0 seconds}
      - {table: absent, column: id, references: sessions.id, grace_period: 0 seconds}
    vacuum: {tables: [sessions, memories]}
"""


@pytest.fixture(autouse=True)
def _tables(application: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    application.execute(TABLES)
    monkeypatch.setenv("OPS_ARCHIVE_URL", str(tmp_path / "archive"))


def _done(result: dg.ExecuteInProcessResult) -> set[str]:
    events = result.get_asset_materialization_events()
    return {event.asset_key.to_user_string() for event in events if event.asset_key}


def test_the_others_and_vacuum_run_when_policies_need_approval_lack_a_table_or_fail(
    materialize: Materialize, application: Connection
) -> None:
    result = materialize(POLICIES, raise_on_error=False)

    assert not result.success
    failed = {
        event.step_key: str(event.step_failure_data.error) for event in result.get_step_failure_events()
    }
    assert 'table "missing" does not exist' in failed["app__retention__missing"]
    assert 'table "absent" does not exist' in failed["app__orphans__absent__id"]
    assert "this trigger refuses" in failed["app__retention__refuses"]
    assert "opsctl approve" in failed["app__retention__sessions"]
    assert len(failed) == 4
    assert _done(result) == {
        "app/retention/visits",
        "app/orphans/memories.session_id",
        "app/vacuum",
        "dagster/run_history_cleanup",
    }
    assert scalar(application, "SELECT count(*) FROM memories") == 60
    assert scalar(application, "SELECT count(*) FROM visits") == 4
    order = "SELECT policy FROM ops.maintenance_runs ORDER BY started_at DESC LIMIT 2"
    assert application.execute(order).fetchall() == [("app/vacuum",), ("app/orphans/absent.id",)]


def test_a_failed_archive_check_holds_back_vacuum_and_no_other_policy(
    materialize: Materialize, application: Connection, tmp_path: Path
) -> None:
    materialize(POLICIES, raise_on_error=False)
    application.execute("INSERT INTO memories (session_id) VALUES (gen_random_uuid())")
    for file in (tmp_path / "archive").rglob("part-*.parquet"):
        file.write_bytes(b"")

    result = materialize(POLICIES, raise_on_error=False)

    assert _done(result) == {
        "app/orphans/memories.session_id",
        "dagster/run_history_cleanup",
    }
    failed = {
        event.step_key: str(event.step_failure_data.error) for event in result.get_step_failure_events()
    }
    assert "app/retention/visits: archive_verified: " in failed["app__retention__visits"]
    assert "did not run: the check archive_verified of app/retention/visits failed" in failed["app__vacuum"]
    assert scalar(application, "SELECT count(*) FROM memories") == 60
    history = (
        "SELECT outcome, stopped_reason FROM ops.maintenance_runs WHERE dagster_run_id = %s AND policy = %s"
    )
    for policy, step in [("app/retention/visits", "app__retention__visits"), ("app/vacuum", "app__vacuum")]:
        ((outcome, reason),) = application.execute(history, (result.run_id, policy)).fetchall()
        assert outcome == "failed"
        assert reason in failed[step]


def test_an_archive_check_that_cannot_be_evaluated_fails_its_policy_and_holds_back_vacuum(
    materialize: Materialize, application: Connection, tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    materialize(POLICIES, raise_on_error=False)
    (tmp_path / "archive").rename(tmp_path / "not mounted")

    result = materialize(POLICIES, raise_on_error=False)

    assert _done(result) == {"app/orphans/memories.session_id", "dagster/run_history_cleanup"}
    evaluated = {
        (check.asset_key.path[-1], check.check_name): check for check in result.get_asset_check_evaluations()
    }
    assert {name for policy, name in evaluated if policy == "visits"} == {
        "no_expired_rows",
        "guard_passed",
        "archive_verified",
    }
    lost = evaluated["visits", "archive_verified"]
    assert "of those that ops.archives records" in str(lost.description)
    assert str(lost.description).startswith("Could not be evaluated: ")
    assert lost.metadata["runbook"].value == "http://127.0.0.1:3000/docs/runbook.md#archive"
    assert "launchpad" not in lost.metadata
    failed = {event.step_key: event.step_failure_data for event in result.get_step_failure_events()}
    assert "failed or could not be evaluated" in str(failed["app__vacuum"].error)
    about = failed["app__retention__visits"].user_failure_data
    assert about is not None
    assert about.metadata["runbook"].value == "http://127.0.0.1:3000/docs/runbook.md#archive"
    outcomes = "SELECT policy, outcome FROM ops.maintenance_runs WHERE dagster_run_id = %s"
    recorded: dict[str, str] = dict(application.execute(outcomes, (result.run_id,)).fetchall())
    assert recorded == {
        "app/retention/missing": "failed",
        "app/retention/refuses": "failed",
        "app/retention/sessions": "needs_approval",
        "app/retention/visits": "failed",
        "app/orphans/memories.session_id": "done",
        "app/orphans/absent.id": "failed",
        "app/vacuum": "failed",
    }


CHILDREN = """
CREATE TABLE accounts (id int PRIMARY KEY, at timestamptz);
CREATE TABLE invoices (
  id int PRIMARY KEY, account_id int REFERENCES accounts ON DELETE CASCADE, at timestamptz
);
CREATE INDEX ON invoices (account_id);
INSERT INTO accounts SELECT n, now() - n * interval '1 day' FROM generate_series(1, 100) n;
INSERT INTO invoices SELECT n, n, now() - n * interval '1 day' FROM generate_series(1, 100) n;
"""
PARENTS_FIRST_IN_THE_FILE = """
version: 1
databases:
  app:
    url: ${OPS_DATABASE_URL}
    guard: {max_fraction: 1}
    retention:
      - {table: accounts, column: at, keep: 30 days}
      - {table: invoices, column: at, keep: 30 days}
    orphans:
      - {table: memories, column: session_id, references: sessions.id, grace_period: 0 seconds}
    vacuum: {tables: [accounts]}
"""


def test_children_are_deleted_before_their_parents_wherever_they_stand_in_the_file(
    materialize: Materialize, application: Connection
) -> None:
    application.execute(CHILDREN)

    result = materialize(PARENTS_FIRST_IN_THE_FILE)

    assert result.success
    ran = application.execute(
        "SELECT policy, rows_removed::int FROM ops.maintenance_runs WHERE cutoff IS NOT NULL ORDER BY id"
    )
    assert ran.fetchall() == [("app/retention/invoices", 71), ("app/retention/accounts", 71)]
    assert scalar(application, "SELECT count(*) FROM ops.cascaded_rows") == 0
    last = scalar(application, "SELECT policy FROM ops.maintenance_runs ORDER BY id DESC LIMIT 1")
    assert last == "app/vacuum"

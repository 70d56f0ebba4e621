"""Archived days are restored and verified by jobs that require days, person and reason."""

import re
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from ops_pipeline.orchestration import alert, ended_runs, failure, identity, lost_runs
from ops_pipeline.orchestration.definitions import build_definitions
from ops_pipeline.orchestration.resources import MaintenanceResource
from ops_pipeline.policies.model import Policies
from ops_pipeline.postgres.advisory_lock import run_lock, share_lock
from ops_pipeline.postgres.connection import Connection, connect, scalar
from tests.integration.orchestration.conftest import Materialize, expired

RESTORE, VERIFY = "restore_archived_days_app", "verify_archived_days_app"
OLD = "SELECT count(*) FROM events WHERE at < current_date - 10"
RECORDED = "SELECT created_by, details ->> 'reason', status FROM audit_logs WHERE action = %s"

WRONG = [
    ({"by": " "}, "by: required"),
    ({"reason": " "}, "reason: must not be empty"),
    ({"from": "yesterday"}, 'from: "yesterday" is not a day; write it as YYYY-MM-DD'),
    ({"to": "2026-02-30"}, 'to: "2026-02-30" is not a day'),
    ({"from": "2126-01-01"}, "from: 2126-01-01 is after to"),
    ({"table": "event"}, 'No rows of a table "event" were archived; did you mean'),
    ({"from": "2001-01-01", "to": "2001-12-31"}, "No rows of .*events were archived for these days"),
]

Launch = Callable[..., dg.ExecuteInProcessResult]


@pytest.fixture
def launch(archiving: Policies, nightly_run: Materialize, instance: dg.DagsterInstance) -> Launch:
    """Executes a job in this process, after a nightly run has archived five days."""
    nightly_run()
    definitions = build_definitions(archiving)

    def run(job: str, tags: dict[str, str] | None = None, **config: Any) -> dg.ExecuteInProcessResult:
        return definitions.resolve_job_def(job).execute_in_process(
            run_config=config, tags=tags, instance=instance, raise_on_error=False
        )

    return run


def _config(first: date, last: date, **more: str) -> dict[str, str]:
    return {"table": "events", "from": f"{first}", "to": f"{last}", "reason": "case 7", **more}


def _failure(result: dg.ExecuteInProcessResult) -> str:
    assert not result.success
    return failure.reason(result.get_step_failure_events()[0].step_failure_data.error)


def test_restored_days_are_on_hold_for_the_reason_given(
    launch: Launch, nightly_run: Materialize, events: Connection
) -> None:
    result = launch(RESTORE, **_config(expired()[1], expired()[3], by="ada"))

    assert result.success
    assert scalar(events, OLD) == 60
    assert events.execute("SELECT owner, created_by, reason FROM ops.legal_holds").fetchall() == [
        ("ada", "ada", "case 7")
    ]
    assert events.execute(RECORDED, ["archive.restored"]).fetchall() == [("ada", "case 7", "success")]
    assert nightly_run().success
    assert scalar(events, OLD) == 60, "a hold keeps them"


def test_days_are_restored_into_another_table(launch: Launch, events: Connection) -> None:
    assert launch(RESTORE, **_config(expired()[0], expired()[0], by="ada", into="copy")).success

    assert scalar(events, "SELECT count(*) FROM copy") == 20
    assert scalar(events, OLD) == 0


def test_the_person_who_is_signed_in_is_recorded_whatever_by_says(launch: Launch, events: Connection) -> None:
    signed_in = {identity.STARTED_BY: "grace"}

    assert launch(RESTORE, signed_in, **_config(expired()[0], expired()[1], by="ada")).success

    assert events.execute(RECORDED, ["archive.restored"]).fetchall() == [("grace", "case 7", "success")]
    unknown = launch(RESTORE, {identity.STARTED_BY: identity.UNKNOWN}, **_config(expired()[2], expired()[3]))
    assert "by: required" in _failure(unknown)


@pytest.mark.parametrize("job", [RESTORE, VERIFY])
def test_a_missing_field_is_refused_at_launch(archiving: Policies, job: str) -> None:
    definition = build_definitions(archiving).resolve_job_def(job)

    for field in ("table", "from", "to", "reason"):
        config = _config(expired()[0], expired()[1], by="ada")
        del config[field]
        with pytest.raises(dg.DagsterInvalidConfigError, match=f'Missing required config entry "{field}"'):
            dg.validate_run_config(definition, config)


@pytest.mark.parametrize("job", [RESTORE, VERIFY])
def test_wrong_configuration_is_refused_and_nothing_is_restored(
    launch: Launch, events: Connection, job: str
) -> None:
    for wrong, message in WRONG:
        refused = _failure(launch(job, **_config(expired()[0], expired()[1], by="ada") | wrong))

        assert re.search(message, refused), refused
    assert scalar(events, OLD) == 0


def test_days_are_verified_and_damage_is_reported(launch: Launch, events: Connection, tmp_path: Path) -> None:
    verified = launch(VERIFY, **_config(expired()[0], expired()[2], by="ada"))
    assert verified.success

    (file,) = (tmp_path / "archive").rglob(f"day={expired()[3]}/part-*.parquet")
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    assert f"day={expired()[3]}" in _failure(launch(VERIFY, **_config(expired()[3], expired()[4], by="ada")))

    assert events.execute(
        f"{RECORDED} AND created_by = 'ada' ORDER BY created_at", ["archive.verified"]
    ).fetchall() == [
        ("ada", "case 7", "success"),
        ("ada", "case 7", "failure"),
    ]
    assert scalar(events, OLD) == 0, "it changes no row"


def test_only_a_restore_waits_for_the_databases_pool(archiving: Policies) -> None:
    definitions = build_definitions(archiving)

    pools = {
        job: {pool for node in definitions.resolve_job_def(job).all_node_defs for pool in node.pools}
        for job in (RESTORE, VERIFY)
    }

    assert pools == {RESTORE: {"app"}, VERIFY: set()}


def test_no_asset_restores_rows(archiving: Policies) -> None:
    """Dagster's "Materialize all" starts every asset of a group."""
    graph = build_definitions(archiving).resolve_asset_graph()

    archive = {key.to_user_string() for key in graph.materializable_asset_keys if "archive" in key.path}

    assert archive == {"app/archive/events_archived"}


def test_a_failed_restore_is_reported_with_what_to_do(
    archiving: Policies, launch: Launch, instance: dg.DagsterInstance
) -> None:
    run_id = launch(RESTORE, **_config(expired()[0], expired()[1])).run_id
    record = instance.get_run_record_by_id(run_id)
    assert record

    failed = alert.alert_of(instance, archiving, record)

    assert failed
    assert failed.databases == ("app",)
    assert "by: required" in failed.problems[0].reason
    assert "launch the job again" in failed.do
    assert "restore brings back all rows of its days or none" in failed.safe
    reported = ended_runs.report(instance, MaintenanceResource(), archiving, ended_runs.Progress(0))
    assert run_id in reported


def test_a_restore_whose_worker_is_gone_is_failed(
    archiving: Policies,
    events: Connection,
    url: str,
    instance: dg.DagsterInstance,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lost_runs, "SILENT_FOR", timedelta(0))
    job = build_definitions(archiving).resolve_job_def(RESTORE)
    config = _config(expired()[0], expired()[1], by="ada")
    run = instance.create_run_for_job(job, run_config=config, status=dg.DagsterRunStatus.STARTED)
    with connect(url, "its step") as step:
        share_lock(step, run_lock(run.run_id))
        assert not lost_runs.end_if_lost(instance, MaintenanceResource(), archiving, run)

    assert lost_runs.end_if_lost(instance, MaintenanceResource(), archiving, run)

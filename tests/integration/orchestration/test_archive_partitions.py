"""Each day of an archived table is a partition that shows whether it is archived."""

from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from ops_pipeline.maintenance import kinds
from ops_pipeline.maintenance.retention.policy import Retention
from ops_pipeline.orchestration.archive_partitions import key
from ops_pipeline.orchestration.definitions import build_definitions
from ops_pipeline.postgres.connection import Connection, scalar
from tests.integration.orchestration.events import TODAY, fill_events

POLICIES = """
version: 1
databases:
  app:
    url: ${OPS_DATABASE_URL}
    retention: [{table: events, column: at, keep: 10 days, partition: day, archive: true}]
    vacuum: {tables: [events]}
    guard: {max_fraction: 1.0}
"""
EXPIRED = [TODAY - timedelta(days=number) for number in range(15, 10, -1)]
KEPT = TODAY - timedelta(days=5)

Run = Callable[..., dg.ExecuteInProcessResult]


@pytest.fixture
def events(connection: Connection, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Connection:
    """Twenty events on each of the last 16 days; those of five whole days have expired."""
    monkeypatch.setenv("OPS_DATABASE_URL", url)
    monkeypatch.setenv("OPS_ARCHIVE_URL", str(tmp_path / "archive"))
    fill_events(connection, days=16)
    return connection


@pytest.fixture
def policy(tmp_path: Path) -> Retention:
    file = tmp_path / "policies.yaml"
    file.write_text(POLICIES)
    (retention, _) = kinds.load(file).databases[0].policies
    assert isinstance(retention, Retention)
    return retention


@pytest.fixture
def definitions(policy: Retention) -> dg.Definitions:
    return build_definitions(kinds.load(policy.place.source.path))


@pytest.fixture
def nightly_run(definitions: dg.Definitions, instance: dg.DagsterInstance) -> Run:
    def run(**how: Any) -> dg.ExecuteInProcessResult:
        return definitions.resolve_job_def("nightly_app").execute_in_process(instance=instance, **how)

    return run


@pytest.fixture
def range_of_days(definitions: dg.Definitions, instance: dg.DagsterInstance) -> Run:
    """Materializes an asset over a range of days in one run, as a backfill does."""

    def run(asset: dg.AssetKey, first: date, last: date, **how: Any) -> dg.ExecuteInProcessResult:
        tags = {
            "dagster/asset_partition_range_start": f"{first}",
            "dagster/asset_partition_range_end": f"{last}",
        }
        job = definitions.resolve_implicit_job_def_def_for_assets([asset])
        assert job
        return job.get_subset(asset_selection={asset}).execute_in_process(
            instance=instance, tags=tags, raise_on_error=False, **how
        )

    return run


def _days(instance: dg.DagsterInstance, asset: dg.AssetKey) -> set[str]:
    return set(instance.get_materialized_partitions(asset))


def test_a_run_reports_each_day_it_has_archived(
    nightly_run: Run, events: Connection, instance: dg.DagsterInstance, policy: Retention
) -> None:
    result = nightly_run()

    assert result.success
    assert _days(instance, key(policy)) == {f"{day}" for day in EXPIRED}
    assert scalar(events, "SELECT count(*) FROM events WHERE at < current_date - 10") == 0
    checks = {check.check_name: check.passed for check in result.get_asset_check_evaluations()}
    assert checks["archive_verified"]
    assert checks["partitions_premade"]
    assert checks["no_detach_pending"]


def test_the_partitions_view_outlives_the_runs_that_filled_it(
    nightly_run: Run, events: Connection, instance: dg.DagsterInstance, policy: Retention
) -> None:
    instance.delete_run(nightly_run().run_id)

    assert _days(instance, key(policy)) == {f"{day}" for day in EXPIRED}


def test_a_range_of_days_is_archived_without_waiting_for_the_nightly_run(
    range_of_days: Run, events: Connection, instance: dg.DagsterInstance, policy: Retention
) -> None:
    assert range_of_days(key(policy), EXPIRED[0], EXPIRED[-1]).success

    assert _days(instance, key(policy)) == {f"{day}" for day in EXPIRED}


def test_a_day_that_has_not_expired_is_refused_and_unchanged(
    range_of_days: Run, events: Connection, instance: dg.DagsterInstance, policy: Retention
) -> None:
    result = range_of_days(key(policy), EXPIRED[-1], KEPT)

    assert not result.success
    failure = str(result.get_step_failure_events()[0].step_failure_data.error)
    assert f"{KEPT} is kept until {KEPT + timedelta(days=11)} and was not archived" in failure
    assert _days(instance, key(policy)) == {f"{EXPIRED[-1]}"}
    assert scalar(events, "SELECT count(*) FROM events WHERE at >= %s", [KEPT]) == 6 * 20


def test_a_range_is_verified_and_damage_is_reported(
    nightly_run: Run,
    range_of_days: Run,
    events: Connection,
    instance: dg.DagsterInstance,
    policy: Retention,
    tmp_path: Path,
) -> None:
    nightly_run()
    verified = key(policy, "verified")
    assert range_of_days(verified, EXPIRED[0], EXPIRED[2]).success
    assert _days(instance, verified) == {f"{day}" for day in EXPIRED[:3]}

    (file,) = (tmp_path / "archive").rglob(f"day={EXPIRED[3]}/part-*.parquet")
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    result = range_of_days(verified, EXPIRED[3], EXPIRED[4])

    assert not result.success
    assert _days(instance, verified) == {f"{day}" for day in [*EXPIRED[:3], EXPIRED[4]]}


def test_a_damaged_archive_holds_back_vacuum(nightly_run: Run, events: Connection, tmp_path: Path) -> None:
    nightly_run()
    for file in (tmp_path / "archive").rglob("part-*.parquet"):
        file.write_bytes(b"")

    result = nightly_run(raise_on_error=False)

    assert not result.success
    checks = {check.check_name: check.passed for check in result.get_asset_check_evaluations()}
    assert not checks["archive_verified"]
    done = {
        event.asset_key.to_user_string()
        for event in result.get_asset_materialization_events()
        if event.asset_key
    }
    assert "app/retention/events" in done
    assert "app/vacuum" not in done


def test_a_range_is_restored_and_on_hold(
    nightly_run: Run, range_of_days: Run, events: Connection, instance: dg.DagsterInstance, policy: Retention
) -> None:
    nightly_run()
    restored = key(policy, "restored")

    result = range_of_days(restored, EXPIRED[1], EXPIRED[3])

    assert result.success
    assert _days(instance, restored) == {f"{day}" for day in EXPIRED[1:4]}
    assert scalar(events, "SELECT count(*) FROM events WHERE at < current_date - 10") == 60
    assert nightly_run().success
    assert scalar(events, "SELECT count(*) FROM events WHERE at < current_date - 10") == 60, (
        "a hold keeps them"
    )

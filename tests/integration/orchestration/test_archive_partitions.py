"""Each day of an archived table is a partition that shows whether it is archived."""

from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path

import dagster as dg
import psycopg
import pytest
from dagster._core.definitions.data_version import CachingStaleStatusResolver, StaleStatus
from dagster._core.loader import LoadingContextForTest
from dagster._core.storage.partition_status_cache import get_and_update_asset_status_cache_value

from ops_pipeline.holds import holds
from ops_pipeline.maintenance.retention.policy import Retention
from ops_pipeline.orchestration import instance as shipped
from ops_pipeline.orchestration.archive_partitions import key, report_archived_days
from ops_pipeline.orchestration.definitions import build_definitions
from ops_pipeline.partitions.premake import premake_days
from ops_pipeline.policies.model import Policies
from ops_pipeline.postgres.connection import Connection, scalar
from tests.integration.orchestration.conftest import Materialize, expired
from tests.integration.orchestration.events import today
from tests.named import named

Run = Callable[..., dg.ExecuteInProcessResult]


@pytest.fixture
def definitions(archiving: Policies) -> dg.Definitions:
    return build_definitions(archiving)


@pytest.fixture
def backfill(definitions: dg.Definitions, instance: dg.DagsterInstance, policy: Retention) -> Run:
    """Materializes the archived days of a range in one run, as a backfill does."""

    def run(first: date, last: date) -> dg.ExecuteInProcessResult:
        tags = {
            "dagster/asset_partition_range_start": f"{first}",
            "dagster/asset_partition_range_end": f"{last}",
        }
        job = definitions.resolve_implicit_job_def_def_for_assets([key(policy)])
        assert job
        return job.get_subset(asset_selection={key(policy)}).execute_in_process(
            instance=instance, tags=tags, raise_on_error=False
        )

    return run


@pytest.fixture
def dagster_url(new_database: Callable[..., str]) -> str:
    """An empty database, for Dagster."""
    return new_database()


@pytest.fixture
def stored(dagster_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    """The instance that is shipped, which keeps its events in PostgreSQL."""
    monkeypatch.setenv("OPS_DAGSTER_DATABASE_URL", shipped.for_sqlalchemy(dagster_url))
    (tmp_path / "dagster.yaml").write_bytes(shipped.CONFIGURATION.read_bytes())
    with dg.DagsterInstance.from_config(str(tmp_path)) as made:
        yield made


def _days(instance: dg.DagsterInstance, policy: Retention) -> set[str]:
    return set(instance.get_materialized_partitions(key(policy)))


def _partitions(definitions: dg.Definitions, policy: Retention) -> set[str]:
    partitions = definitions.resolve_asset_graph().get(key(policy)).partitions_def
    assert partitions
    return set(partitions.get_partition_keys())


def test_a_run_reports_each_day_it_has_archived(
    nightly_run: Materialize, events: Connection, instance: dg.DagsterInstance, policy: Retention
) -> None:
    result = nightly_run()

    assert result.success
    assert _days(instance, policy) == {f"{day}" for day in expired()}
    assert scalar(events, "SELECT count(*) FROM events WHERE at < current_date - 10") == 0
    checks = {check.check_name: check.passed for check in result.get_asset_check_evaluations()}
    assert checks["archive_verified"]
    assert checks["partitions_premade"]
    assert checks["no_detach_pending"]


def test_the_partitions_view_outlives_the_runs_that_filled_it(
    nightly_run: Materialize, events: Connection, instance: dg.DagsterInstance, policy: Retention
) -> None:
    instance.delete_run(nightly_run().run_id)

    assert _days(instance, policy) == {f"{day}" for day in expired()}


def test_years_of_days_are_reported_in_one_write(
    nightly_run: Materialize,
    events: Connection,
    archiving: Policies,
    policy: Retention,
    stored: dg.DagsterInstance,
    dagster_url: str,
) -> None:
    first = today() - timedelta(days=1000)
    premake_days(events, named(events, "events"), first, first)
    events.execute("INSERT INTO events VALUES (-1, %s)", [f"{first}T01:00:00Z"])
    nightly_run()

    report_archived_days(stored, events, policy)
    report_archived_days(stored, events, policy)

    partitions = build_definitions(archiving).resolve_asset_graph().get(key(policy)).partitions_def
    assert partitions
    expected = set(partitions.get_partition_keys())
    assert len(expected) == 990
    assert _days(stored, policy) == expected
    shown = get_and_update_asset_status_cache_value(stored, key(policy), partitions)
    assert shown
    assert set(shown.deserialize_materialized_partition_subsets(partitions).get_partition_keys()) == expected
    latest = stored.get_latest_materialization_event(key(policy))
    assert latest
    assert latest.asset_materialization
    assert latest.asset_materialization.partition == max(expected)
    with psycopg.connect(dagster_url) as connection:
        written = connection.execute("SELECT count(*), count(DISTINCT xmin::text) FROM event_logs").fetchone()
    assert written == (990, 1), "each day once, all of them in one transaction"


def test_a_range_of_days_is_archived_without_waiting_for_the_nightly_run(
    backfill: Run, events: Connection, instance: dg.DagsterInstance, policy: Retention
) -> None:
    assert backfill(expired()[0], expired()[-1]).success

    assert _days(instance, policy) == {f"{day}" for day in expired()}


def test_a_healthy_archive_has_no_missing_day(
    nightly_run: Materialize,
    events: Connection,
    instance: dg.DagsterInstance,
    archiving: Policies,
    policy: Retention,
) -> None:
    events.execute("DELETE FROM events WHERE at::date = %s", [expired()[2]])

    nightly_run()

    assert _days(instance, policy) == _partitions(build_definitions(archiving), policy), (
        "all days from the first archived one to the last that has expired, one of them without rows"
    )


def test_a_day_with_rows_that_are_kept_is_missing(
    nightly_run: Materialize,
    events: Connection,
    instance: dg.DagsterInstance,
    definitions: dg.Definitions,
    policy: Retention,
) -> None:
    holds.add(events, "events", f"at = '{expired()[1]}T01:00:00Z'", reason="a case", owner="ada", by="ada")

    nightly_run()

    assert _partitions(definitions, policy) - _days(instance, policy) == {f"{expired()[1]}"}


def test_an_archived_day_stays_in_sync_after_later_runs(
    nightly_run: Materialize,
    backfill: Run,
    instance: dg.DagsterInstance,
    definitions: dg.Definitions,
    policy: Retention,
) -> None:
    assert backfill(expired()[0], expired()[1]).success
    nightly_run()
    nightly_run()

    resolver = CachingStaleStatusResolver(
        instance, definitions.resolve_asset_graph(), LoadingContextForTest(instance)
    )
    assert {resolver.get_status(key(policy), f"{day}") for day in expired()} == {StaleStatus.FRESH}


def test_a_backfill_names_the_days_that_were_not_archived(
    backfill: Run, events: Connection, instance: dg.DagsterInstance, policy: Retention
) -> None:
    holds.add(events, "events", f"at = '{expired()[1]}T01:00:00Z'", reason="a case", owner="ada", by="ada")

    result = backfill(expired()[0], expired()[2])

    assert not result.success
    failure = str(result.get_step_failure_events()[0].step_failure_data.error)
    assert f"{expired()[1]} still has rows, which are on hold" in failure
    assert _days(instance, policy) == {f"{expired()[0]}", f"{expired()[2]}"}


def test_days_that_the_policy_keeps_are_no_partitions(
    definitions: dg.Definitions, policy: Retention, events: Connection
) -> None:
    assert _partitions(definitions, policy) == {f"{day}" for day in expired()}
    assert expired()[-1] + timedelta(days=11) == today()


def test_a_damaged_archive_holds_back_vacuum(
    nightly_run: Materialize, events: Connection, tmp_path: Path
) -> None:
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
    assert not done & {"app/retention/events", "app/vacuum"}

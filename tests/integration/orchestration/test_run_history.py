"""Dagster's run history is pruned, and the history of the policies outlives it."""

from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest

from ops_pipeline.orchestration import run_history
from ops_pipeline.policies.model import Policies
from ops_pipeline.postgres.connection import Connection, scalar
from tests.integration.orchestration.conftest import Materialize

KEEP = run_history.Keep(ours=timedelta(days=400), others=timedelta(days=30))


@dg.op
def nothing() -> None: ...


@dg.job
def of_another_team() -> None:
    nothing()


def _in(days: float) -> datetime:
    return datetime.now(UTC) + timedelta(days=days)


def _run_ids(instance: dg.DagsterInstance) -> set[str]:
    return {run.run_id for run in instance.get_runs()}


@pytest.fixture
def log() -> dg.DagsterLogManager:
    return dg.build_op_context().log


def test_runs_of_ops_pipeline_are_kept_longer_than_others(
    materialize: Materialize,
    instance: dg.DagsterInstance,
    policies: Policies,
    log: dg.DagsterLogManager,
) -> None:
    mine = materialize().run_id
    other = of_another_team.execute_in_process(instance=instance).run_id

    assert run_history.prune(instance, policies, KEEP, report=log, now=_in(29)) == run_history.Pruned(
        0, 0, True
    )
    assert run_history.prune(instance, policies, KEEP, report=log, now=_in(31)) == run_history.Pruned(
        0, 1, True
    )
    assert _run_ids(instance) == {mine}
    assert run_history.prune(instance, policies, KEEP, report=log, now=_in(401)) == run_history.Pruned(
        1, 0, True
    )
    assert _run_ids(instance) == set()
    assert instance.all_logs(mine) == []
    assert instance.all_logs(other) == []


def test_the_history_outlives_the_run(
    materialize: Materialize,
    instance: dg.DagsterInstance,
    policies: Policies,
    log: dg.DagsterLogManager,
    application: Connection,
) -> None:
    run_id = materialize().run_id

    run_history.prune(instance, policies, KEEP, report=log, now=_in(500))

    kept = "SELECT count(*) FROM ops.maintenance_runs WHERE dagster_run_id = %s"
    assert scalar(application, kept, [run_id]) == 3


def test_a_run_that_has_not_ended_is_never_removed(
    instance: dg.DagsterInstance, policies: Policies, log: dg.DagsterLogManager
) -> None:
    run = instance.create_run_for_job(of_another_team, status=dg.DagsterRunStatus.STARTED)

    run_history.prune(instance, policies, KEEP, report=log, now=_in(500))

    assert _run_ids(instance) == {run.run_id}


def test_more_runs_than_one_page_are_deleted_in_one_cleanup(
    monkeypatch: pytest.MonkeyPatch,
    instance: dg.DagsterInstance,
    policies: Policies,
    log: dg.DagsterLogManager,
) -> None:
    monkeypatch.setattr(run_history, "PAGE", 2)
    for _ in range(5):
        of_another_team.execute_in_process(instance=instance)

    assert run_history.prune(instance, policies, KEEP, report=log, now=_in(31)).others == 5


def test_without_both_limits_every_run_is_kept(
    materialize: Materialize,
    instance: dg.DagsterInstance,
    policies: Policies,
    log: dg.DagsterLogManager,
) -> None:
    materialize()

    assert run_history.prune(
        instance, policies, run_history.Keep(None, None), report=log, now=_in(9999)
    ) == run_history.Pruned(0, 0, True)


def test_the_nightly_run_cleans_up_the_run_history(materialize: Materialize) -> None:
    events = materialize().get_asset_materialization_events()

    assert "dagster/run_history_cleanup" in {
        event.asset_key.to_user_string() for event in events if event.asset_key
    }

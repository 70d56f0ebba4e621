"""Policies of the newest run that never began differ from those that were no part of it."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import dagster as dg
import pytest

from ops_pipeline.cli import newest_run
from ops_pipeline.maintenance.kinds import carry_out
from ops_pipeline.maintenance.overdue import last_runs
from ops_pipeline.policies.model import Database
from ops_pipeline.postgres.advisory_lock import run_lock, share_lock
from ops_pipeline.postgres.connection import Connection, connect

SESSIONS = dg.AssetKey(["app", "retention", "sessions"])
OTHERS = ["app/orphans/memories.session_id", "app/vacuum"]
STARTED, FAILED = dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.FAILURE


@pytest.fixture
def newest(
    application: Connection,
    read: Callable[..., Database],
    dagster_url: str,
    instance: dg.DagsterInstance,
) -> Callable[..., newest_run.NewestRun]:
    """The newest run, in which only the first policy has begun, as Dagster has it with these properties."""
    database = read()

    def of(status: dg.DagsterRunStatus, *, events: bool = False, **properties: Any) -> newest_run.NewestRun:
        run = dg.DagsterRun("nightly_app", **{"run_id": str(uuid4()), "status": status, **properties})
        instance.add_run(run)
        if events:
            instance.report_engine_event("a step has ended", run)
        carry_out(application, database.policies[0], dagster_run_id=run.run_id)
        runs = last_runs(application, [policy.name for policy in database.policies])
        found = newest_run.find(dagster_url, application, database.policies, runs)
        assert found is not None
        return found

    return of


def test_a_run_that_ended_before_its_other_policies_is_a_problem(
    newest: Callable[..., newest_run.NewestRun],
) -> None:
    found = newest(FAILED)

    assert newest_run.in_words(found).endswith(" UTC: 1 done; 2 policies have not begun")
    assert found.problem == (
        "the last run ended before it began app/orphans/memories.session_id, app/vacuum. To continue: "
        "opsctl run --policy app/orphans/memories.session_id --policy app/vacuum"
    )


def test_a_run_in_progress_is_no_problem_while_it_has_a_worker(
    newest: Callable[..., newest_run.NewestRun], url: str
) -> None:
    run_id = str(uuid4())
    with connect(url, "a step") as step:
        share_lock(step, run_lock(run_id))
        alive = newest(STARTED, run_id=run_id)
    lost = newest(STARTED)
    between_steps = newest(STARTED, events=True)

    assert alive.not_begun == between_steps.not_begun == OTHERS
    assert alive.problem is None
    assert between_steps.problem is None
    assert str(lost.problem).startswith(
        "the last run has no worker at present, and has not begun app/orphans"
    )


@pytest.mark.parametrize(
    "properties",
    [{"asset_selection": frozenset({SESSIONS})}, {"step_keys_to_execute": ["app__retention__sessions"]}],
)
def test_policies_that_were_not_selected_are_no_problem(
    newest: Callable[..., newest_run.NewestRun], properties: dict[str, Any]
) -> None:
    found = newest(FAILED, **properties)

    assert newest_run.in_words(found).endswith(" UTC: 1 done; 2 policies were not part of this run")
    assert found.problem is None


def test_a_run_that_dagster_has_deleted_says_nothing_of_the_others(
    application: Connection,
    read: Callable[..., Database],
    dagster_url: str,
    instance: dg.DagsterInstance,  # it has created Dagster's tables
) -> None:
    database = read()
    carry_out(application, database.policies[0], dagster_run_id=str(uuid4()))
    runs = last_runs(application, [policy.name for policy in database.policies])

    found = newest_run.find(dagster_url, application, database.policies, runs)

    assert found is not None
    assert (found.not_begun, found.excluded) == ([], 2)

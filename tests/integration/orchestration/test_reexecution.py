"""After an approval, "re-execute from failure" runs the policy that waited for it, and nothing else."""

import os
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from ops_pipeline.maintenance.guard import approvals
from ops_pipeline.orchestration import launch, run_outcome, run_ownership
from ops_pipeline.postgres.connection import Connection, scalar
from tests.integration.orchestration.conftest import POLICIES

REPOSITORY = Path(__file__).parents[3]
GUARDED = POLICIES.replace("keep: 30 days}", "keep: 30 days, guard: {max_fraction: 0.1}}")


@pytest.fixture
def stored_instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    """A Dagster instance that the processes of steps share."""
    with dg.DagsterInstance.local_temp(str(tmp_path)) as made:
        yield made


def _executed(result: dg.JobExecutionResult) -> set[str]:
    return {
        event.step_key or ""
        for event in result.all_events
        if event.event_type is dg.DagsterEventType.STEP_START
    }


def test_the_button_carries_out_what_was_approved(
    application: Connection,
    stored_instance: dg.DagsterInstance,
    url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file = tmp_path / "policies.yaml"
    file.write_text(GUARDED)
    monkeypatch.setenv("OPS_DATABASE_URL", url)
    monkeypatch.setenv("OPS_POLICIES", str(file))
    monkeypatch.setenv("PYTHONPATH", os.fspath(REPOSITORY))
    job = launch.job("nightly_app")

    with dg.execute_job(
        job, stored_instance, tags={run_ownership.TRIGGER: "schedule"}, raise_on_error=False
    ) as blocked:
        failed = {event.step_key for event in blocked.get_step_failure_events()}
        assert failed == {"app__retention__sessions"}
        assert "app__vacuum" in _executed(blocked)
    (plan,) = approvals.pending(application)
    approvals.approve(application, plan.id, "ada")
    from_failure = dg.ReexecutionOptions.from_failure(blocked.run_id, stored_instance)
    with dg.execute_job(job, stored_instance, reexecution_options=from_failure) as recovered:
        assert recovered.success
        assert _executed(recovered) == {"app__retention__sessions"}

    assert scalar(application, "SELECT count(*) FROM sessions") == 30
    before, after = (stored_instance.get_run_by_id(run.run_id) for run in (blocked, recovered))
    assert before is not None
    assert after is not None
    tags = (run_outcome.OUTCOME, run_outcome.POLICY, run_ownership.TRIGGER)
    assert [before.tags[tag] for tag in tags] == ["needs_approval", "app/retention/sessions", "schedule"]
    assert [after.tags[tag] for tag in tags] == ["done", "app/retention/sessions", "ui"]

"""A run approves plans in the name of the person who started it, and only then."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from ops_pipeline.maintenance import kinds
from ops_pipeline.orchestration.definitions import build_definitions
from ops_pipeline.orchestration.identity import STARTED_BY, UNKNOWN
from ops_pipeline.postgres.connection import Connection, scalar
from tests.integration.orchestration.conftest import POLICIES

CAREFUL = POLICIES + "    guard: {max_fraction: 0.1}\n"
COORDINATOR = {
    "module": "ops_pipeline.orchestration.run_coordinator",
    "class": "IdentifyingRunCoordinator",
}


@pytest.fixture
def identifying(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    """An instance with our run coordinator."""
    with dg.DagsterInstance.local_temp(str(tmp_path), overrides={"run_coordinator": COORDINATOR}) as made:
        yield made


@pytest.fixture
def job(application: Connection, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The nightly run, whose plan needs approval."""
    monkeypatch.setenv("OPS_DATABASE_URL", url)
    file = tmp_path / "policies.yaml"
    file.write_text(CAREFUL)
    return build_definitions(kinds.load(file)).resolve_job_def("nightly_app")


def _approving(connection: Connection) -> dict[str, Any]:
    plan = scalar(connection, "SELECT id FROM ops.plans WHERE follows IS NULL")
    return {"resources": {"databases": {"config": {"approve": [plan]}}}}


def test_the_person_who_started_the_run_approves(
    job: dg.JobDefinition, identifying: dg.DagsterInstance, connection: Connection
) -> None:
    job.execute_in_process(instance=identifying, raise_on_error=False)

    job.execute_in_process(
        instance=identifying,
        raise_on_error=False,
        run_config=_approving(connection),
        tags={STARTED_BY: "ada"},
    )

    assert scalar(connection, "SELECT count(*) FROM sessions") == 30
    said = "SELECT created_by FROM audit_logs WHERE action = 'plan.approved'"
    assert connection.execute(said).fetchall() == [("ada",), ("ada",)], "with it, that of its orphans"


@pytest.mark.parametrize("tags", [{}, {STARTED_BY: UNKNOWN}])
def test_a_run_of_an_unknown_person_approves_nothing(
    job: dg.JobDefinition, identifying: dg.DagsterInstance, connection: Connection, tags: dict[str, str]
) -> None:
    job.execute_in_process(instance=identifying, raise_on_error=False)

    refused = job.execute_in_process(
        instance=identifying, raise_on_error=False, run_config=_approving(connection), tags=tags
    )

    assert "it is unknown who started this run" in _reason(refused)
    assert scalar(connection, "SELECT count(*) FROM sessions") == 60


def test_a_tag_is_not_believed_where_another_coordinator_queues_runs(
    job: dg.JobDefinition, instance: dg.DagsterInstance, connection: Connection
) -> None:
    job.execute_in_process(instance=instance, raise_on_error=False)

    refused = job.execute_in_process(
        instance=instance, raise_on_error=False, run_config=_approving(connection), tags={STARTED_BY: "ada"}
    )

    assert "must have the run_coordinator of ops_pipeline/orchestration/dagster.yaml" in _reason(refused)
    assert scalar(connection, "SELECT count(*) FROM sessions") == 60


def _reason(result: dg.ExecuteInProcessResult) -> str:
    return str(result.get_step_failure_events()[0].step_failure_data.error)

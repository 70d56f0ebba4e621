"""Runs the nightly job from this process and waits for it; no Dagster daemon is required."""

import os
from dataclasses import dataclass

import dagster as dg

from ops_pipeline import settings
from ops_pipeline.audit.person import person
from ops_pipeline.maintenance import kinds
from ops_pipeline.orchestration import identity, run_ownership
from ops_pipeline.orchestration import instance as dagster_instance
from ops_pipeline.orchestration.definitions import build_definitions
from ops_pipeline.orchestration.failure import FailedStep, failed_step


@dataclass(frozen=True, slots=True)
class EndedRun:
    """A Dagster run that has ended, with its failed steps."""

    id: str
    status: str
    failures: tuple[FailedStep, ...]

    @property
    def succeeded(self) -> bool:
        return self.status == dg.DagsterRunStatus.SUCCESS.value


def nightly_job() -> dg.JobDefinition:
    """The nightly job of this environment; the processes of its steps build it again by calling this."""
    policies = kinds.load(settings.load().policies)
    return build_definitions(policies).resolve_job_def(run_ownership.job_of_all(policies))


def run_nightly_job(resolved: settings.Settings) -> EndedRun:
    """Runs every policy as one Dagster run and returns when it has ended.

    Dagster's history shows it like a scheduled run. `resolved` comes from `embedded.resolved`.
    """
    os.environ.update(dagster_instance.prepare(resolved))
    with dg.DagsterInstance.get() as instance:
        result = dg.execute_job(
            dg.reconstructable(nightly_job),
            instance=instance,
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
            tags={run_ownership.TRIGGER: "opsctl", identity.STARTED_BY: person()},
            raise_on_error=False,
        )
        run = instance.get_run_by_id(result.run_id)
        policies = kinds.load(resolved.policies)
        failures = tuple(failed_step(policies, event) for event in result.get_step_failure_events())
        return EndedRun(result.run_id, run.status.value if run else "unknown", failures)

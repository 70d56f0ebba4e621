"""Reports failed runs: an audit event for each, and a webhook where one is configured."""

import time
from datetime import UTC, datetime, timedelta

import dagster as dg
import httpx
import msgspec
import psycopg

from ops_pipeline import settings
from ops_pipeline.audit import trail
from ops_pipeline.maintenance import history
from ops_pipeline.orchestration import failure, run_ownership, webhook
from ops_pipeline.orchestration.resources import MaintenanceResource
from ops_pipeline.policies.model import Policies
from ops_pipeline.postgres import embedded
from ops_pipeline.postgres.connection import DatabaseUnavailableError, connect

GIVE_UP_AFTER = timedelta(days=1)
TICK_SECONDS = 30.0
"""Dagster ends a tick after a minute. Failures that are not reported by then are reported in the next one."""


class Progress(msgspec.Struct):
    """How far reporting has come: complete up to the event `after`; for the next run, which parts are
    done."""

    after: int
    recorded: str = ""
    posted: str = ""


def definitions(policies: Policies) -> dg.Definitions:
    """A sensor that looks for newly failed runs every half minute.

    Dagster's own run status sensors skip a run when reporting it fails. This one retries until the run is
    reported, for at most a day, so that a receiver that is down for a while misses nothing.
    """

    @dg.sensor(
        name="failed_runs",
        minimum_interval_seconds=30,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Reports failed runs: an audit event for each, and a message to OPS_WEBHOOK_URL.",
    )
    def failed_runs(context: dg.SensorEvaluationContext, databases: MaintenanceResource) -> dg.SkipReason:
        if context.cursor is None:
            progress, summary = Progress(_newest(context.instance)), "Runs that fail from now on are reported"
        else:
            progress = msgspec.json.decode(context.cursor, type=Progress)
            summary = report(context.instance, databases, policies, progress)
        context.update_cursor(msgspec.json.encode(progress).decode())
        return dg.SkipReason(summary)

    return dg.Definitions(sensors=[failed_runs])


def report(
    instance: dg.DagsterInstance, databases: MaintenanceResource, policies: Policies, progress: Progress
) -> str:
    """Reports the failed runs that `progress` does not have yet, updates it, and returns a summary."""
    done: list[str] = []
    deadline = time.monotonic() + TICK_SECONDS
    after = dg.RunStatusChangeRecordsFilter(
        event_type=dg.DagsterEventType.RUN_FAILURE, after_storage_id=progress.after
    )
    for event in instance.fetch_run_status_changes(after, limit=20, ascending=True).records:
        if time.monotonic() > deadline:
            break
        record = instance.get_run_record_by_id(event.event_log_entry.run_id)
        failed = failure.failure_of(instance, policies, record) if record else None
        if record is not None and failed is not None:
            _record_interrupted(databases, policies, record.dagster_run)
            problems = _report_one(failed, progress)
            if problems and datetime.now(UTC) - failed.failed_at < GIVE_UP_AFTER:
                return f"Run {failed.run_id} will be reported again: {'; '.join(problems)}"
            done.append("; ".join([failed.run_id, *problems]))
        progress.after = event.storage_id
    return f"Reported: {', '.join(done)}" if done else "No run has failed"


def _report_one(failed: failure.Failure, progress: Progress) -> list[str]:
    """Records the failure and posts it, unless that was done before; returns the problems."""
    configured = settings.load()
    problems: list[str] = []
    if progress.recorded != failed.run_id:
        try:
            _record(failed, configured)
            progress.recorded = failed.run_id
        except (DatabaseUnavailableError, psycopg.Error) as error:
            problems.append(f"it cannot be stored in the audit log ({error})")
    if progress.posted != failed.run_id and configured.webhook_url is not None and not failed.will_retry:
        try:
            webhook.post(configured.webhook_url, failed, configured.webhook_format)
            progress.posted = failed.run_id
        except httpx.HTTPError as error:
            problems.append(f"the message could not be posted to OPS_WEBHOOK_URL ({error})")
        except webhook.RefusedError as error:
            progress.posted = failed.run_id
            problems.append(str(error))
    return problems


def _record(failed: failure.Failure, configured: settings.Settings) -> None:
    with (
        embedded.resolved(configured) as resolved,
        connect(str(resolved.database_url), "ops alerts") as connection,
    ):
        trail.store(connection, failed.audit_event())


def _record_interrupted(databases: MaintenanceResource, policies: Policies, run: dg.DagsterRun) -> None:
    for database in run_ownership.databases_of(policies, run):
        try:
            with databases.reach(database, "alerts", writes=True) as connection:
                history.interrupt_dead(connection)
        except DatabaseUnavailableError:
            continue  # this may be why the run failed; the policy's next run records it


def _newest(instance: dg.DagsterInstance) -> int:
    events = instance.fetch_run_status_changes(dg.DagsterEventType.RUN_FAILURE, limit=1).records
    return events[0].storage_id if events else 0

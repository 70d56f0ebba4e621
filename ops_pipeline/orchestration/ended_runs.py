"""Reports ended runs: an audit event and a message where a person is required, a heartbeat for good ones."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Literal

import dagster as dg
import msgspec
import psycopg

from ops_pipeline import settings
from ops_pipeline.audit import trail
from ops_pipeline.orchestration import (
    alert,
    delivery,
    heartbeat,
    run_end,
    run_outcome,
    run_ownership,
    webhook,
)
from ops_pipeline.orchestration.resources import MaintenanceResource, is_dry
from ops_pipeline.policies.model import Database, Policies
from ops_pipeline.postgres import embedded
from ops_pipeline.postgres.connection import DatabaseUnavailableError, connect

GIVE_UP_AFTER = timedelta(days=1)
TICK_SECONDS = 30.0
"""Dagster ends a tick after a minute. Runs that are not reported by then are reported in the next one."""
PAGE = 20
NOT_GOOD = {run_outcome.DRY_RUN, "paused"}
"""The outcomes of successful runs that have not carried out their policies."""
ENDED: tuple[
    Literal[
        dg.DagsterEventType.RUN_FAILURE, dg.DagsterEventType.RUN_SUCCESS, dg.DagsterEventType.RUN_CANCELED
    ],
    ...,
] = (
    dg.DagsterEventType.RUN_FAILURE,
    dg.DagsterEventType.RUN_SUCCESS,
    dg.DagsterEventType.RUN_CANCELED,
)


class Progress(msgspec.Struct):
    """How far reporting has come: complete up to the event `after`; for the next run, which parts are done.

    `heartbeats`: the databases whose heartbeat has not been accepted yet.
    """

    after: int
    recorded: str = ""
    posted: str = ""
    heartbeats: list[str] = msgspec.field(default_factory=list)


def definitions(policies: Policies) -> dg.Definitions:
    """A sensor that looks for newly ended runs every half minute.

    Dagster's own run status sensors skip a run when reporting it fails. This one retries until the run is
    reported, for at most a day, so that a receiver that is down for a while misses nothing.
    """

    @dg.sensor(
        name="ended_runs",
        minimum_interval_seconds=30,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Records and reports ended runs. Those that failed, need approval, have rows remaining "
        "or an incomplete VACUUM: an audit event and a message to OPS_WEBHOOK_URL. Calls OPS_HEARTBEAT_URL "
        "after good nightly runs.",
    )
    def ended_runs(context: dg.SensorEvaluationContext, databases: MaintenanceResource) -> dg.SkipReason:
        if context.cursor is None:
            progress, summary = Progress(_newest(context.instance)), "Runs that end from now on are reported"
        else:
            progress = msgspec.json.decode(context.cursor, type=Progress)
            summary = report(context.instance, databases, policies, progress)
        context.update_cursor(msgspec.json.encode(progress).decode())
        return dg.SkipReason(summary)

    return dg.Definitions(sensors=[ended_runs])


def report(
    instance: dg.DagsterInstance, databases: MaintenanceResource, policies: Policies, progress: Progress
) -> str:
    """Reports the ended runs that `progress` does not have yet, updates it, and returns a summary."""
    deadline = time.monotonic() + TICK_SECONDS
    reported = _report_runs(instance, databases, policies, progress, deadline)
    return ". ".join([reported, *_call_heartbeats(progress, deadline)])


def _report_runs(
    instance: dg.DagsterInstance,
    databases: MaintenanceResource,
    policies: Policies,
    progress: Progress,
    deadline: float,
) -> str:
    done: list[str] = []
    for event in _ended(instance, progress.after):
        if time.monotonic() > deadline:
            break
        record = instance.get_run_record_by_id(event.event_log_entry.run_id)
        seen = record is not None and _was_seen(record.dagster_run)
        reported = alert.alert_of(instance, policies, record) if record and not seen else None
        unrecorded = run_end.record(instance, databases, policies, record) if record else []
        if reported is not None:
            problems = _report_one(reported, progress)
            if problems and datetime.now(UTC) - reported.ended_at < GIVE_UP_AFTER:
                return f"Run {reported.run_id} will be reported again: {'; '.join(problems)}"
            done.append("; ".join([reported.run_id, *unrecorded, *problems]))
        if record is not None:
            good = good_databases(policies, record.dagster_run)
            progress.heartbeats += [name for name in good if name not in progress.heartbeats]
        progress.after = event.storage_id
    return f"Reported: {', '.join(done)}" if done else "No run to report"


def _was_seen(run: dg.DagsterRun) -> bool:
    """Whether the person who launched it knows how it ended: its launch was refused, or it was a dry run."""
    return run.tags.get(run_outcome.OUTCOME) == run_outcome.REFUSED or is_dry(run)


def good_databases(policies: Policies, run: dg.DagsterRun) -> list[str]:
    """The databases of which that run is a good nightly run: it succeeded, was neither paused nor a dry run,
    and had every policy of the database, or continued such a run."""
    concerned = run_ownership.databases_of(policies, run)
    nightly = {run_ownership.EVERY_DATABASE, *map(run_ownership.job_of, concerned)}
    good = run.status == dg.DagsterRunStatus.SUCCESS and run.job_name in nightly
    if not good or run.tags.get(run_outcome.OUTCOME) in NOT_GOOD:
        return []
    return [database.name for database in concerned if run.parent_run_id or _complete(database, run)]


def _complete(database: Database, run: dg.DagsterRun) -> bool:
    """Whether every policy of the database is in the run."""
    if not run.asset_selection:  # all of the job, or some checks alone
        return not run.asset_check_selection
    return run.asset_selection >= {dg.AssetKey(policy.identity.path) for policy in database.policies}


def _ended(instance: dg.DagsterInstance, after: int) -> Iterator[dg.EventLogRecord]:
    """The ends of runs after that event, in their order."""
    while True:
        page = sorted(
            (
                event
                for kind in ENDED
                for event in instance.fetch_run_status_changes(
                    dg.RunStatusChangeRecordsFilter(event_type=kind, after_storage_id=after),
                    limit=PAGE,
                    ascending=True,
                ).records
            ),
            key=lambda event: event.storage_id,
        )[:PAGE]
        yield from page
        if len(page) < PAGE:
            return
        after = page[-1].storage_id


def _report_one(reported: alert.Alert, progress: Progress) -> list[str]:
    """Records the alert and posts it, unless that was done before; returns the problems."""
    configured = settings.load()
    problems: list[str] = []
    if progress.recorded != reported.run_id:
        try:
            _record(reported, configured)
            progress.recorded = reported.run_id
        except (DatabaseUnavailableError, psycopg.Error) as error:
            problems.append(f"it cannot be stored in the audit log ({error})")
    if progress.posted != reported.run_id and not reported.will_retry:
        try:
            webhook.post(configured, reported)
            progress.posted = reported.run_id
        except delivery.UndeliveredError as error:
            problems.append(f"the message could not be posted: {error}")
        except delivery.RefusedError as error:
            progress.posted = reported.run_id
            problems.append(str(error))
    return problems


def _record(reported: alert.Alert, configured: settings.Settings) -> None:
    with (
        embedded.resolved(configured) as resolved,
        connect(str(resolved.database_url), "ops alerts") as connection,
    ):
        trail.store(connection, reported.audit_event())


def _call_heartbeats(progress: Progress, deadline: float) -> list[str]:
    """Calls the addresses of the databases that are due; returns the problems.

    Those that do not answer are called again in the next tick, those that refuse after the next good run.
    """
    configured = settings.load()
    # Databases with the same address need one call.
    due = {heartbeat.address(configured, name): name for name in progress.heartbeats}
    progress.heartbeats = []
    problems: list[str] = []
    for address, name in due.items():
        if address is None:
            continue
        if time.monotonic() > deadline:
            progress.heartbeats.append(name)
            continue
        try:
            heartbeat.call(address)
        except delivery.UndeliveredError as error:
            progress.heartbeats.append(name)
            problems.append(f"The heartbeat of {name} will be sent again: {error}")
        except delivery.RefusedError as error:
            problems.append(f"The heartbeat of {name} was not accepted: {error}")
    return problems


def _newest(instance: dg.DagsterInstance) -> int:
    newest = [
        event.storage_id
        for kind in ENDED
        for event in instance.fetch_run_status_changes(kind, limit=1).records
    ]
    return max(newest, default=0)

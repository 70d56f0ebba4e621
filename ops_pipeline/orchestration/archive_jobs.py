"""Dagster jobs that restore and verify archived days, started with the configuration from the launchpad."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from typing import Any

import dagster as dg
from pydantic import Field

from ops_pipeline import settings
from ops_pipeline.archive import manifest
from ops_pipeline.archive.archive import Archive
from ops_pipeline.archive.restore import Restored, archived_table, none_archived, restore
from ops_pipeline.archive.verify import verify_files
from ops_pipeline.counted import counted
from ops_pipeline.opsctl import opsctl
from ops_pipeline.orchestration import cancellation, identity, metadata, remedy, run_ownership
from ops_pipeline.orchestration.jobs import EXECUTOR
from ops_pipeline.orchestration.resources import MaintenanceResource
from ops_pipeline.policies.model import Database, DeletingPolicy, Policies
from ops_pipeline.postgres.advisory_lock import run_lock, share_lock
from ops_pipeline.postgres.connection import Connection
from ops_pipeline.storage import location


class DaysToVerify(dg.Config):
    """Configuration of a verification for the launchpad."""

    table: str = Field(description="The table that the rows were deleted from, or schema.table.")
    first: str = Field(alias="from", description="The first day (UTC), as YYYY-MM-DD.")
    last: str = Field(alias="to", description="The last day (UTC), inclusive, as YYYY-MM-DD.")
    reason: str = Field(description="Why, recorded in the audit log.")
    by: str = Field(
        default="",
        description="Your name, recorded in the audit log. Required unless you are signed in to the UI; then "
        "your identity is recorded instead.",
    )


class DaysToRestore(DaysToVerify):
    """Configuration of a restore for the launchpad."""

    reason: str = Field(description="Why, recorded in the audit log and as the reason of the hold.")
    into: str = Field(
        default="",
        description="Another table to restore into, created if it is missing. Empty: the original table, "
        "where a hold protects the rows from the next nightly run.",
    )


def definitions(policies: Policies) -> dg.Definitions:
    """The two jobs of each database that has a policy which archives."""
    return dg.Definitions(
        jobs=[
            job(database)
            for database in policies.databases
            if any(isinstance(policy, DeletingPolicy) and policy.archive for policy in database.policies)
            for job in (_restore_job, _verify_job)
        ]
    )


def _restore_job(database: Database) -> dg.JobDefinition:
    name = run_ownership.restore_job_of(database)

    @dg.op(name=f"{name}_step", out=dg.Out(metadata.NOTHING), pool=database.name)
    def step(context: dg.OpExecutionContext, config: DaysToRestore, databases: MaintenanceResource) -> None:
        by, (first, last) = _person(context, config), _days(config)
        with _archive(context, database, databases) as (connection, archive):
            restored = restore(
                connection, archive, config.table,
                first=first, last=last, into=config.into or None, by=by, reason=config.reason,
            )  # fmt: skip
        _tell(context, database, restored)

    return _job(
        name,
        step,
        DaysToRestore,
        f"Restores archived rows of {database.name}, exactly as the files have them: all rows of the days, "
        "or none. In their own table a hold protects them from the next nightly run.",
    )


def _verify_job(database: Database) -> dg.JobDefinition:
    name = run_ownership.verify_job_of(database)

    @dg.op(name=f"{name}_step", out=dg.Out(metadata.NOTHING))
    def step(context: dg.OpExecutionContext, config: DaysToVerify, databases: MaintenanceResource) -> None:
        by, (first, last) = _person(context, config), _days(config)
        with _archive(context, database, databases) as (connection, archive):
            table = archived_table(connection, config.table)
            files = manifest.of_days(connection, table.schema, table.name, first, last)
            if not files:
                raise _failure(none_archived(connection, table))
            verified = verify_files(connection, archive, files, by=by, reason=config.reason)
        context.add_output_metadata({"files": verified.files, "bytes": verified.bytes})
        if verified.problems:
            raise _failure("; ".join(verified.problems))
        context.log.info(f"{counted(verified.files, 'file')} match what the database recorded")

    return _job(
        name,
        step,
        DaysToVerify,
        f"Reads archived files of {database.name} again and compares them with what the database recorded: "
        "size, SHA-256 and row count. It changes no row.",
    )


def _job(name: str, step: dg.OpDefinition, config: type[DaysToVerify], description: str) -> dg.JobDefinition:
    """A job of that one step, whose configuration is the whole configuration of the job."""
    return dg.GraphDefinition(name=name, node_defs=[step]).to_job(
        config=dg.ConfigMapping(
            config_schema=_schema(config),
            config_fn=lambda value: {"ops": {step.name: {"config": value}}},
        ),
        executor_def=EXECUTOR,
        metadata={"runbook": remedy.runbook("archive")},
        description=description,
    )


def _schema(config: type[DaysToVerify]) -> dict[str, dg.Field]:
    """The fields as plain strings: Dagster's own schema also takes the value of an environment variable."""
    return {
        field.alias or name: dg.Field(
            str,
            description=field.description,
            is_required=field.is_required(),
            **({} if field.is_required() else {"default_value": field.default}),
        )
        for name, field in config.model_fields.items()
    }


@contextmanager
def _archive(
    context: dg.OpExecutionContext, database: Database, databases: MaintenanceResource
) -> Iterator[tuple[Connection, Archive]]:
    """The archive, and a connection that shows that the run has a live worker. Errors fail the step."""
    cancellation.stop_with_parent()
    try:
        with databases.reach(database, context.job_name, writes=True) as connection:
            share_lock(connection, run_lock(context.run.run_id))
            yield connection, Archive(location.storage(settings.load().archive_url), connection)
    except dg.Failure:
        raise
    except Exception as error:
        raise _failure(str(error)) from error


def _person(context: dg.OpExecutionContext, config: DaysToVerify) -> str:
    by = (identity.started_by(context.run) or config.by).strip()
    if not by:
        raise _failure(
            "by: required, because it is unknown who started this run; write your name, for the audit log"
        )
    if not config.reason.strip():
        raise _failure("reason: must not be empty; say why, for the audit log")
    return by


def _days(config: DaysToVerify) -> tuple[date, date]:
    first, last = _day("from", config.first), _day("to", config.last)
    if first > last:
        raise _failure(f"from: {first} is after to: {last}; write the earlier day in from")
    return first, last


def _day(field: str, text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        problem = f'{field}: "{text}" is not a day; write it as YYYY-MM-DD, such as 2026-03-01'
        raise _failure(problem) from error


def _failure(problem: str) -> dg.Failure:
    return dg.Failure(problem, allow_retries=False)


def _tell(context: dg.OpExecutionContext, database: Database, restored: Restored) -> None:
    rows = counted(restored.rows, "row")
    metadata: dict[str, Any] = {
        "rows": restored.rows,
        "files": restored.files,
        "into": restored.into,
        "files_restored_before": restored.skipped_files,
    }
    hold = ""
    if restored.hold is not None:
        release = opsctl("hold", "release", restored.hold, database=database.name)
        metadata |= {"hold": restored.hold, "release": release}
        hold = f". Hold {restored.hold} keeps policies from deleting them"
    context.add_output_metadata(metadata)
    context.log.info(f"Restored {rows} of {restored.first} to {restored.last} into {restored.into}{hold}")
    for missing in restored.missing_parents:
        referring = counted(missing.rows, "of them refers", "of them refer")
        context.log.warning(
            f"{referring} by {missing.key} to rows of {missing.parent} that no longer exist: "
            f"{missing.on_delete} was applied"
        )

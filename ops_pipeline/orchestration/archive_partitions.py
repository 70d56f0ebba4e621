"""Dagster assets whose partitions are the archived days of a table: archived, verified, restored.

The nightly run archives expired rows and reports each complete day. Operators start backfills over days.
"""

import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Literal

import dagster as dg
from dagster._utils.warnings import BetaWarning
from psycopg import sql as compose
from pydantic import Field

import sql
from ops_pipeline import settings
from ops_pipeline.archive import manifest
from ops_pipeline.archive.archive import Archive
from ops_pipeline.archive.manifest import ArchivedFile
from ops_pipeline.archive.restore import restore
from ops_pipeline.archive.verify import verify_files
from ops_pipeline.counted import counted
from ops_pipeline.maintenance.retention import expired
from ops_pipeline.maintenance.retention.policy import Retention
from ops_pipeline.orchestration import metadata, retry
from ops_pipeline.orchestration.resources import MaintenanceResource
from ops_pipeline.policies.identity import plain
from ops_pipeline.policies.model import Database, Policies
from ops_pipeline.postgres.connection import Connection, scalar
from ops_pipeline.postgres.relation import find_relation
from ops_pipeline.storage import location

# Dagster is pinned to a release, so its beta features change only with an update of ours.
warnings.filterwarnings("ignore", "Parameter `backfill_policy`", category=BetaWarning)

A_DAY = timedelta(days=1)
BY_MONTH = dg.BackfillPolicy.multi_run(31)
"""At most 31 days in one run of a backfill; a year is a dozen runs, one after the other."""
State = Literal["archived", "verified", "restored"]


class VerifyOptions(dg.Config):
    """Configuration for the launchpad: `by`, because Dagster's open-source UI has no users."""

    by: str = Field(default="launchpad", description="Your name, recorded in the audit log.")


class RestoreOptions(VerifyOptions):
    """Configuration of a restore for the launchpad."""

    into: str = Field(
        default="",
        description="Another table to restore into, created if it is missing. Empty: the original table, "
        "where a hold protects the rows from the next nightly run.",
    )


def archived_by_day(database: Database) -> list[Retention]:
    """The policies whose table is partitioned by day and archived."""
    return [
        policy
        for _, policy in Policies((database,)).of_type(Retention)
        if policy.archive and policy.partition == "day"
    ]


def key(policy: Retention, state: State = "archived") -> dg.AssetKey:
    """`app/archive/audit_logs_archived`; Dagster's graph only has room for the last part."""
    return dg.AssetKey([policy.database, "archive", f"{plain(policy.identity.subject)}_{state}"])


def archive_assets(database: Database) -> list[dg.AssetsDefinition]:
    """For each table that is archived by day, three assets: its archived, verified and restored days."""
    return [
        asset(database, policy)
        for policy in archived_by_day(database)
        for asset in (_archived, _verified, _restored)
    ]


def report_archived_days(instance: dg.DagsterInstance, connection: Connection, policy: Retention) -> None:
    """Reports each archived day that Dagster does not know yet, once no row of that day is left in the table.

    A report belongs to no run, so it is kept when old runs are deleted.
    """
    known = set(instance.get_materialized_partitions(key(policy)))
    for day, files in _files_by_day(connection, policy).items():
        is_new = f"{day}" not in known and day >= _first_day(policy)
        if is_new and not _why_not_archived(connection, policy, day):
            instance.report_runless_asset_event(_materialization(key(policy), day, files))


def _archived(database: Database, policy: Retention) -> dg.AssetsDefinition:
    @_asset(
        policy,
        "archived",
        f"The days of **{policy.table}** whose rows were archived as Parquet, read back and then deleted "
        "from the table. The nightly run adds each day; a backfill archives days without waiting for it. "
        "Days that the policy still keeps are refused.",
    )
    def archive_days(
        context: dg.AssetExecutionContext, databases: MaintenanceResource
    ) -> Iterator[dg.Output[None]]:
        try:
            result = retry.carry_out(databases, database, policy, context)
        except Exception as error:
            raise dg.Failure(f"{policy.name} failed: {error}", allow_retries=False) from error
        refused: list[str] = []
        with databases.connect(database, policy, f"days of {policy.table}", context.run.run_id) as connection:
            for day, files in _files_by_day(connection, policy, context).items():
                if reason := _why_not_archived(connection, policy, day):
                    refused.append(reason)
                else:
                    context.log_event(_materialization(key(policy), day, files))
        if refused:
            stopped = "" if result.outcome == "done" else f" {result.stopped_reason}"
            raise dg.Failure(f"{'; '.join(refused)}. Other days are archived.{stopped}", allow_retries=False)
        yield metadata.not_materialized()

    return archive_days


def _verified(database: Database, policy: Retention) -> dg.AssetsDefinition:
    @_asset(
        policy,
        "verified",
        f"The archived days of **{policy.table}** whose files were read again and match what the database "
        "recorded: size, SHA-256 and row count. Materialize it for any range of days; it changes no row.",
    )
    def verify_days(
        context: dg.AssetExecutionContext, config: VerifyOptions, databases: MaintenanceResource
    ) -> Iterator[dg.Output[None]]:
        problems: list[str] = []
        with databases.connect(database, policy, f"verify {policy.table}", context.run.run_id) as connection:
            archive = Archive(location.storage(settings.load().archive_url), connection)
            for day, files in _files_by_day(connection, policy, context).items():
                damages = verify_files(connection, archive, files, by=config.by).problems
                problems += damages if files else [f"the archive has no rows of {day}"]
                if files and not damages:
                    context.log_event(_materialization(key(policy, "verified"), day, files))
        if problems:
            raise dg.Failure("; ".join(problems), allow_retries=False)
        yield metadata.not_materialized()

    return verify_days


def _restored(database: Database, policy: Retention) -> dg.AssetsDefinition:
    @_asset(
        policy,
        "restored",
        f"The days of **{policy.table}** that were restored from the archive, exactly as the files have "
        "them. Materialize it for a range of days: all of them are restored, or none. A hold protects the "
        "rows from the next nightly run.",
    )
    def restore_days(
        context: dg.AssetExecutionContext, config: RestoreOptions, databases: MaintenanceResource
    ) -> Iterator[dg.Output[None]]:
        days = _days(context)
        with databases.connect(database, policy, f"restore {policy.table}", context.run.run_id) as connection:
            try:
                archive = Archive(location.storage(settings.load().archive_url), connection)
                restored = restore(
                    connection, archive, str(find_relation(connection, policy.table)),
                    first=days[0], last=days[-1], into=config.into or None, by=config.by,
                )  # fmt: skip
            except Exception as error:
                raise dg.Failure(str(error), allow_retries=False) from error
            context.log.info(f"Restored {counted(restored.rows, 'row')} into {restored.into}")
            for missing in restored.missing_parents:
                referring = counted(missing.rows, "of them refers", "of them refer")
                context.log.warning(
                    f"{referring} by {missing.key} to rows of {missing.parent} that no longer exist: "
                    f"{missing.on_delete} was applied"
                )
            for day, files in _files_by_day(connection, policy, context).items():
                if files:
                    context.log_event(_materialization(key(policy, "restored"), day, files))
        yield metadata.not_materialized()

    return restore_days


def _asset(
    policy: Retention, state: State, description: str
) -> Callable[[Callable[..., Iterator[dg.Output[None]]]], dg.AssetsDefinition]:
    return dg.asset(
        key=key(policy, state),
        deps=[dg.AssetKey(policy.identity.path) if state == "archived" else key(policy)],
        group_name=policy.database,
        kinds={"postgres" if state == "restored" else "parquet", "archive"},
        owners=["team:operations"],
        pool=None if state == "verified" else policy.database,  # to verify changes no row
        dagster_type=metadata.NOTHING,
        partitions_def=dg.DailyPartitionsDefinition(start_date=_start(_first_day(policy))),
        backfill_policy=dg.BackfillPolicy.single_run() if state == "restored" else BY_MONTH,
        description=description,
        metadata={"runbook": dg.MetadataValue.path("docs/runbook.md#archive")},
    )


def _days(context: dg.AssetExecutionContext) -> list[date]:
    return sorted(map(date.fromisoformat, context.partition_keys))


def _files_by_day(
    connection: Connection, policy: Retention, context: dg.AssetExecutionContext | None = None
) -> Mapping[date, Sequence[ArchivedFile]]:
    """The archived files of each day of the run's partitions; without a `context`, of every archived day."""
    days = _days(context) if context else []
    files: defaultdict[date | None, list[ArchivedFile]] = defaultdict(list)
    table = find_relation(connection, policy.table)
    between = min(days, default=None), max(days, default=None)
    for file in manifest.of_days(connection, table.schema, table.name, *between):
        files[file.day].append(file)
    return {day: files[day] for day in days or files if day is not None}


def _why_not_archived(connection: Connection, policy: Retention, day: date) -> str | None:
    if _start(day + A_DAY) > expired.cutoff_now(connection, policy):
        return f"{day} is kept until {day + A_DAY + policy.keep} and was not archived"
    statement = compose.SQL(sql.get("orchestration/has_rows_between")).format(
        table=find_relation(connection, policy.table).identifier, column=compose.Identifier(policy.column)
    )
    if scalar(connection, statement, {"lower": _start(day), "upper": _start(day + A_DAY)}):
        return f"{day} still has rows, which are on hold, referred to, locked or pending approval"
    return None


def _first_day(policy: Retention) -> date:
    """A 1 January at least a year before the oldest row that is kept. It changes only once a year, because a
    running backfill fails when its partitions change."""
    return date((datetime.now(UTC) - policy.keep).year - 1, 1, 1)


def _start(day: date) -> datetime:
    return datetime.combine(day, datetime.min.time(), UTC)


def _materialization(asset: dg.AssetKey, day: date, files: Sequence[ArchivedFile]) -> dg.AssetMaterialization:
    rows = sum(file.rows for file in files)
    return dg.AssetMaterialization(
        asset,
        partition=f"{day}",
        description=f"{counted(rows, 'row')} in {counted(len(files), 'file')}",
        metadata={
            "dagster/partition_row_count": rows,
            "bytes": sum(file.bytes for file in files),
            "files": dg.MetadataValue.json([file.path for file in files]),
        },
    )

"""The days of an archived table as Dagster partitions: which are in the archive, and backfills over them.

The nightly run needs none of this: it archives whatever is due, and then tells Dagster of each day that is
complete. People start backfills over a range of days to archive, verify or restore it.
"""

import warnings
from collections.abc import Iterator, Sequence
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
from ops_pipeline.maintenance.retention import expired
from ops_pipeline.maintenance.retention.policy import Retention
from ops_pipeline.orchestration import metadata, retry
from ops_pipeline.orchestration.resources import MaintenanceResource
from ops_pipeline.policies.identity import plain
from ops_pipeline.policies.model import Database, Policies
from ops_pipeline.postgres.connection import Connection, scalar
from ops_pipeline.postgres.relation import find_relation
from ops_pipeline.storage import location

# Dagster is pinned to a release, so that a beta of it changes only when we do.
warnings.filterwarnings("ignore", "Parameter `backfill_policy`", category=BetaWarning)

A_MONTH = 31
"""How many days a run of a backfill takes; a year is a dozen runs, one after the other."""
LAUNCHPAD = "launchpad"
"""Who acts where nobody has said who: the open-source Dagster UI knows no users."""


class Verification(dg.Config):
    """What an operator may write in the launchpad."""

    by: str = Field(default=LAUNCHPAD, description="Who asks for it; the audit log keeps it.")


class Restoration(dg.Config):
    """What an operator may write in the launchpad."""

    into: str = Field(
        default="",
        description="Another table to restore into, made when it does not exist. Empty: the table the rows "
        "came from, where a hold keeps them from the next night.",
    )
    by: str = Field(default=LAUNCHPAD, description="Who asks for it; the audit log keeps it.")


def archived_by_day(database: Database) -> list[Retention]:
    """The policies whose table is partitioned by day and archived."""
    return [
        policy
        for _, policy in Policies((database,)).of_type(Retention)
        if policy.archive and policy.partition == "day"
    ]


def key(rule: Retention, of: Literal["archived", "verified", "restored"] = "archived") -> dg.AssetKey:
    """`app/archive/audit_logs_archived`; its last part is all that the graph has room for."""
    return dg.AssetKey([rule.database, "archive", f"{plain(rule.identity.subject)}_{of}"])


def of(database: Database) -> list[dg.AssetsDefinition]:
    """For each table that is archived by day: its days in the archive, verified, and restored."""
    return [
        asset
        for rule in archived_by_day(database)
        for asset in (_archived(database, rule), _verified(database, rule), _restored(database, rule))
    ]


def tell(instance: dg.DagsterInstance, connection: Connection, rule: Retention) -> int:
    """Tells Dagster of each day that is archived whole and that it does not know of; says how many.

    What it is told belongs to no run, so it stays when old runs are removed. A day counts as whole when rows
    of it are in the archive and none is left in the table.
    """
    asset = key(rule)
    known = set(instance.get_materialized_partitions(asset))
    cutoff = expired.cutoff(connection, rule)
    told = 0
    for day, parts in _by_day(_parts(connection, rule, None, None)).items():
        news = f"{day}" not in known and day >= _first_day(rule) and _is_over(day, cutoff)
        if news and not _rows_left(connection, rule, day):
            instance.report_runless_asset_event(_materialization(asset, day, parts))
            told += 1
    return told


def _partitions(rule: Retention) -> dg.DailyPartitionsDefinition:
    return dg.DailyPartitionsDefinition(
        start_date=datetime.combine(_first_day(rule), datetime.min.time(), UTC)
    )


def _first_day(rule: Retention) -> date:
    """A New Year's day at least a year before the oldest row that is kept. It moves once a year, because a
    backfill under way does not bear that its partitions change."""
    return date((datetime.now(UTC) - rule.keep).year - 1, 1, 1)


def _archived(database: Database, rule: Retention) -> dg.AssetsDefinition:
    @dg.asset(
        key=key(rule),
        deps=[dg.AssetKey(rule.identity.path)],
        group_name=database.name,
        kinds={"parquet", "archive"},
        owners=["team:operations"],
        pool=database.name,
        dagster_type=metadata.NOTHING,
        partitions_def=_partitions(rule),
        backfill_policy=dg.BackfillPolicy.multi_run(A_MONTH),
        description=f"The days of **{rule.table}** that have left the table and are in the archive, as "
        "Parquet that was read back before the rows went. The night fills it in by itself; a backfill does "
        "not wait for the night. Days that the policy still keeps are refused.",
        metadata={"runbook": dg.MetadataValue.path("docs/runbook.md#archive")},
    )
    def archive_days(
        context: dg.AssetExecutionContext, databases: MaintenanceResource
    ) -> Iterator[dg.Output[None]]:
        try:
            result = retry.carry_out(databases, database, rule, context)
        except Exception as error:
            raise dg.Failure(f"{rule.name} failed: {error}", allow_retries=False) from error
        refused: list[str] = []
        with databases.connect(database, rule, f"days of {rule.table}", context.run.run_id) as connection:
            for day in _days(context):
                if why := _why_not_archived(connection, rule, day):
                    refused.append(why)
                else:
                    parts = _parts(connection, rule, day, day)
                    context.log_event(_materialization(key(rule), day, parts))
        if refused:
            raise dg.Failure(
                f"{result.outcome}: {result.stopped_reason}. {'; '.join(refused)}. Other days are archived",
                allow_retries=False,
            )
        yield metadata.not_materialized()

    return archive_days


def _verified(database: Database, rule: Retention) -> dg.AssetsDefinition:
    @dg.asset(
        key=key(rule, "verified"),
        deps=[key(rule)],
        group_name=database.name,
        kinds={"parquet", "archive"},
        owners=["team:operations"],
        dagster_type=metadata.NOTHING,
        partitions_def=_partitions(rule),
        backfill_policy=dg.BackfillPolicy.multi_run(A_MONTH),
        description=f"The archived days of **{rule.table}** whose files were read again and agree with "
        "what the database recorded of them: size, SHA-256 and row count. Start it over any range of days; "
        "it only reads.",
        metadata={"runbook": dg.MetadataValue.path("docs/runbook.md#archive")},
    )
    def verify_days(
        context: dg.AssetExecutionContext, config: Verification, databases: MaintenanceResource
    ) -> Iterator[dg.Output[None]]:
        problems: list[str] = []
        with databases.connect(database, rule, f"verify {rule.table}", context.run.run_id) as connection:
            archive = _archive(connection)
            for day in _days(context):
                parts = _parts(connection, rule, day, day)
                found = verify_files(connection, archive, parts, by=config.by).problems
                problems += found if parts else [f"nothing of {day} is in the archive"]
                if parts and not found:
                    context.log_event(_materialization(key(rule, "verified"), day, parts))
        if problems:
            raise dg.Failure("; ".join(problems), allow_retries=False)
        yield metadata.not_materialized()

    return verify_days


def _restored(database: Database, rule: Retention) -> dg.AssetsDefinition:
    @dg.asset(
        key=key(rule, "restored"),
        deps=[key(rule)],
        group_name=database.name,
        kinds={"postgres", "archive"},
        owners=["team:operations"],
        pool=database.name,
        dagster_type=metadata.NOTHING,
        partitions_def=_partitions(rule),
        backfill_policy=dg.BackfillPolicy.single_run(),
        description=f"The days of **{rule.table}** that were brought back from the archive, every bit "
        "as the files have it. Start it over a range of days: all of them come back, or none. A hold keeps "
        "them from the next night.",
        metadata={"runbook": dg.MetadataValue.path("docs/runbook.md#archive")},
    )
    def restore_days(
        context: dg.AssetExecutionContext, config: Restoration, databases: MaintenanceResource
    ) -> Iterator[dg.Output[None]]:
        days = _days(context)
        with databases.connect(database, rule, f"restore {rule.table}", context.run.run_id) as connection:
            table = find_relation(connection, rule.table)
            try:
                restored = restore(
                    connection, _archive(connection), str(table),
                    first=days[0], last=days[-1], into=config.into or None, by=config.by,
                )  # fmt: skip
            except Exception as error:
                raise dg.Failure(str(error), allow_retries=False) from error
            context.log.info(f"{restored.rows:,} rows are in {restored.into} again")
            for day, parts in _by_day(_parts(connection, rule, days[0], days[-1])).items():
                context.log_event(_materialization(key(rule, "restored"), day, parts))
        yield metadata.not_materialized()

    return restore_days


def _days(context: dg.AssetExecutionContext) -> list[date]:
    return sorted(date.fromisoformat(each) for each in context.partition_keys)


def _archive(connection: Connection) -> Archive:
    return Archive(location.storage(settings.load().archive_url), connection)


def _parts(
    connection: Connection, rule: Retention, first: date | None, last: date | None
) -> list[ArchivedFile]:
    table = find_relation(connection, rule.table)
    found = manifest.of_days(connection, table.schema, table.name, first, last)
    return [each for each in found if each.day is not None]


def _by_day(parts: Sequence[ArchivedFile]) -> dict[date, list[ArchivedFile]]:
    days: dict[date, list[ArchivedFile]] = {}
    for each in parts:
        if each.day is not None:
            days.setdefault(each.day, []).append(each)
    return days


def _rows_left(connection: Connection, rule: Retention, day: date) -> bool:
    start = datetime.combine(day, datetime.min.time(), UTC)
    statement = compose.SQL(sql.get("orchestration/has_rows_between")).format(
        table=find_relation(connection, rule.table).identifier, column=compose.Identifier(rule.column)
    )
    values = {"lower": start, "upper": start + timedelta(days=1)}
    return bool(scalar(connection, statement, values))


def _why_not_archived(connection: Connection, rule: Retention, day: date) -> str | None:
    if not _is_over(day, expired.cutoff(connection, rule)):
        return f"{day} is kept until {day + timedelta(days=1) + rule.keep} and was left alone"
    if _rows_left(connection, rule, day):
        return f"{day} still has rows, on hold or yet to be approved"
    return None


def _is_over(day: date, cutoff: datetime) -> bool:
    """Whether every moment of the day is older than the policy keeps."""
    return datetime.combine(day, datetime.min.time(), UTC) + timedelta(days=1) <= cutoff


def _materialization(asset: dg.AssetKey, day: date, parts: Sequence[ArchivedFile]) -> dg.AssetMaterialization:
    return dg.AssetMaterialization(
        asset,
        partition=f"{day}",
        description=f"{sum(each.rows for each in parts):,} rows in {len(parts)} files",
        metadata={
            "dagster/partition_row_count": sum(each.rows for each in parts),
            "bytes": sum(each.bytes for each in parts),
            "files": dg.MetadataValue.json([each.path for each in parts]),
        },
    )

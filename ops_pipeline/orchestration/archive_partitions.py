"""A Dagster asset for each table that is archived by day; its partitions are the days that have expired.

The nightly run archives expired rows and reports each complete day. A backfill archives days without waiting
for it. `archive_jobs` restores and verifies days.
"""

import logging
import math
import time
import warnings
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta

import dagster as dg
from dagster._core.events import StepMaterializationData
from dagster._core.instance import RUNLESS_JOB_NAME, RUNLESS_RUN_ID
from dagster._utils.warnings import BetaWarning
from psycopg import sql as compose

import sql
from ops_pipeline.archive import manifest
from ops_pipeline.archive.manifest import ArchivedFile
from ops_pipeline.counted import counted
from ops_pipeline.maintenance.retention import expired
from ops_pipeline.maintenance.retention.policy import Retention
from ops_pipeline.orchestration import metadata, remedy, retry, source_assets
from ops_pipeline.orchestration.resources import MaintenanceResource
from ops_pipeline.policies.identity import plain
from ops_pipeline.policies.model import Database, Policies
from ops_pipeline.postgres.connection import Connection
from ops_pipeline.postgres.relation import find_relation

# Dagster is pinned to a release, so its beta features change only with an update of ours.
warnings.filterwarnings("ignore", "Parameter `backfill_policy`", category=BetaWarning)

A_DAY = timedelta(days=1)
BY_MONTH = dg.BackfillPolicy.multi_run(31)
"""At most 31 days in one run of a backfill; a year is a dozen runs, one after the other."""
YEARS = 10
"""Days begin at most this many years ago: a few rows with a wrong time, such as 1970, would add thousands of
empty days."""


def archived_by_day(database: Database) -> list[Retention]:
    """The policies whose table is partitioned by day and archived."""
    return [
        policy
        for _, policy in Policies((database,)).of_type(Retention)
        if policy.archive and policy.partition == "day"
    ]


def key(policy: Retention) -> dg.AssetKey:
    """`app/archive/audit_logs_archived`; Dagster's graph only has room for the last part."""
    return dg.AssetKey([policy.database, "archive", f"{plain(policy.identity.subject)}_archived"])


def archive_assets(database: Database, first_days: Mapping[str, date]) -> list[dg.AssetsDefinition]:
    """The archived days of each table that is archived by day. `first_days`: see there."""
    return [_archived(database, policy, first_days.get(policy.name)) for policy in archived_by_day(database)]


def earliest() -> date:
    """The day before which no partitions begin. They begin with it where the first day is unknown.

    Dagster fails a running backfill when days that it works on are no longer partitions; with more days it
    continues. The day changes once a year.
    """
    return date(datetime.now(UTC).year - YEARS, 1, 1)


def report_archived_days(instance: dg.DagsterInstance, connection: Connection, policy: Retention) -> None:
    """Reports each day that Dagster does not know yet, once it has expired and no row of it remains in the
    table.

    The first is the first archived day. Days that never had rows are reported as well, so that only days
    that are still to be archived are missing.
    A report belongs to no run, so it is kept when old runs are deleted. All days are stored in one write.
    """
    files = _files_by_day(connection, policy)
    first = min((day for day in files if day >= earliest()), default=None)
    if first is None:
        return
    known = set(instance.get_materialized_partitions(key(policy)))
    number = (_last_expired(policy) - first) // A_DAY + 1
    days = [day for n in range(number) if f"{(day := first + n * A_DAY)}" not in known]
    not_archived = _why_not_archived(connection, policy, days)
    _report(
        instance,
        [_materialization(policy, day, files.get(day, ())) for day in days if day not in not_archived],
    )


def _report(instance: dg.DagsterInstance, days: Sequence[dg.AssetMaterialization]) -> None:
    """Stores what `report_runless_asset_event` stores for each of them.

    That opens several connections for each event, and a first archive reports years of days while VACUUM
    waits.
    """
    entries = [
        dg.EventLogEntry(  # type: ignore[no-untyped-call]  # Dagster does not annotate it
            error_info=None,
            level=logging.INFO,
            user_message="",
            run_id=RUNLESS_RUN_ID,
            timestamp=time.time(),
            job_name=RUNLESS_JOB_NAME,
            dagster_event=dg.DagsterEvent(
                dg.DagsterEventType.ASSET_MATERIALIZATION.value,
                RUNLESS_JOB_NAME,
                event_specific_data=StepMaterializationData(day),
            ),
        )
        for day in days
    ]
    if entries:
        instance.event_log_storage.store_event_batch(entries)


def _archived(database: Database, policy: Retention, first: date | None) -> dg.AssetsDefinition:
    @dg.asset(
        key=key(policy),
        # The policy itself is not a dependency: after each of its runs Dagster would call every day unsynced.
        deps=[source_assets.key(database, policy.table)],
        group_name=policy.database,
        kinds={"parquet", "archive"},
        owners=policy.owners,
        pool=policy.database,
        dagster_type=metadata.NOTHING,
        partitions_def=_partitions(policy, first or earliest()),
        backfill_policy=BY_MONTH,
        description=f"The days of **{policy.table}** that have expired, since the first archived one: their "
        "rows were archived as Parquet, read back and then deleted from the table. The nightly run adds each "
        "day. A backfill runs the policy now, for every expired day, and reports the days it was started for."
        + ("" if first else f" {_unknown_first_day(policy)}"),
        metadata={"runbook": remedy.runbook("archive")},
    )
    def archive_days(
        context: dg.AssetExecutionContext, databases: MaintenanceResource
    ) -> Iterator[dg.Output[None]]:
        days = sorted(map(date.fromisoformat, context.partition_keys))
        try:
            result = retry.carry_out(databases, database, policy, context)
        except Exception as error:
            raise dg.Failure(f"{policy.name} failed: {error}", allow_retries=False) from error
        with databases.connect(database, policy, f"days of {policy.table}", context.run.run_id) as connection:
            files = _files_by_day(connection, policy, days[0], days[-1])
            refused = _why_not_archived(connection, policy, days)
        for day in days:
            if day not in refused:
                context.log_event(_materialization(policy, day, files.get(day, ())))
        if refused:
            archived = len(days) - len(refused)
            others = f". {counted(archived, 'other day is', 'other days are')} archived" if archived else ""
            stopped = "" if result.outcome == "done" else f". {result.stopped_reason}"
            raise dg.Failure(f"{'; '.join(refused.values())}{others}{stopped}", allow_retries=False)
        yield metadata.not_materialized()

    return archive_days


def _partitions(policy: Retention, first: date) -> dg.DailyPartitionsDefinition:
    return dg.DailyPartitionsDefinition(start_date=_start(first), end_offset=-_days_kept(policy))


def _unknown_first_day(policy: Retention) -> str:
    return (
        f"{policy.database} did not answer when this was loaded, so {YEARS} years are shown, and days before "
        "the first archived one as missing. Nothing is lost; once the database answers, reload the code "
        "location."
    )


def _last_expired(policy: Retention) -> date:
    """The last day that the policy no longer keeps, which is the last partition."""
    return datetime.now(UTC).date() - A_DAY - _days_kept(policy) * A_DAY


def _days_kept(policy: Retention) -> int:
    return math.ceil(policy.keep / A_DAY)


def _files_by_day(
    connection: Connection, policy: Retention, first: date | None = None, last: date | None = None
) -> Mapping[date, Sequence[ArchivedFile]]:
    """The archived files of each day between the two, both included; None: no bound."""
    files: defaultdict[date, list[ArchivedFile]] = defaultdict(list)
    table = find_relation(connection, policy.table)
    for file in manifest.of_days(connection, table.schema, table.name, first, last):
        if file.day is not None:
            files[file.day].append(file)
    return files


def _why_not_archived(connection: Connection, policy: Retention, days: Sequence[date]) -> Mapping[date, str]:
    """Those of the days that are not archived, or not all of their rows, each with the reason."""
    cutoff = expired.cutoff_now(connection, policy)
    statement = compose.SQL(sql.get("orchestration/days_with_rows")).format(
        table=find_relation(connection, policy.table).identifier, column=compose.Identifier(policy.column)
    )
    reasons = {
        day: f"{day} still has rows, which are on hold, referred to, locked or pending approval"
        for (day,) in connection.execute(statement, {"days": list(days)})
    }
    kept = {
        day: f"{day} is kept until {day + A_DAY + policy.keep} and was not archived"
        for day in days
        if _start(day + A_DAY) > cutoff
    }
    return reasons | kept


def _start(day: date) -> datetime:
    return datetime.combine(day, datetime.min.time(), UTC)


def _materialization(policy: Retention, day: date, files: Sequence[ArchivedFile]) -> dg.AssetMaterialization:
    rows = sum(file.rows for file in files)
    return dg.AssetMaterialization(
        key(policy),
        partition=f"{day}",
        description=f"{counted(rows, 'row')} in {counted(len(files), 'file')}",
        metadata={
            "dagster/partition_row_count": rows,
            "bytes": sum(file.bytes for file in files),
            "files": dg.MetadataValue.json([file.path for file in files]),
        },
    )

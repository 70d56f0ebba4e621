"""Tables partitioned by day that lack a partition for one of the next days."""

from collections.abc import Iterator

from ops_pipeline.audit import trail
from ops_pipeline.counted import listed
from ops_pipeline.diagnosis.diagnosis import Diagnosis, Examination
from ops_pipeline.finding import Finding
from ops_pipeline.maintenance.retention.checks import DAYS_REQUIRED
from ops_pipeline.opsctl import opsctl
from ops_pipeline.partitions.gaps import days_without_partition
from ops_pipeline.partitions.partition import partition_key
from ops_pipeline.postgres.relation import Relation, audit_logs, find_relation


def _find(examined: Examination) -> Iterator[Finding]:
    tables = {
        table.oid: (table, opsctl("run", policies=[policy.name]))
        for policy, table, _ in examined.deleting()
        if policy.partitioned_by_day() is not None and partition_key(examined.connection, table) is not None
    }
    if not tables:
        examined.migrated_connection()  # else there is no table to ask about
    if trail.is_there(examined.connection):
        own = find_relation(examined.connection, audit_logs())
        tables[own.oid] = (own, "opsctl migrate")  # a run, which deletes, is not required
    for table, remedy in tables.values():
        yield from _missing(examined, table, remedy)


def _missing(examined: Examination, table: Relation, remedy: str) -> Iterator[Finding]:
    if days := days_without_partition(examined.connection, table, DAYS_REQUIRED):
        yield Finding(
            str(table),
            f"{table} has no partition for {listed([f'{day:%Y-%m-%d}' for day in days])}: rows of these "
            "days go into its default partition, or their INSERT fails if it has none. To create them",
            (remedy,),
        )


PARTITIONS_PREMADE = Diagnosis(
    id="partitions_premade",
    severity="warning",
    question=f"Do partitions exist for the next {DAYS_REQUIRED} days, of the audit log and of tables with "
    "`partition: day`?",
    remedy="Run `opsctl migrate` for the audit log, `opsctl run` for other tables; find out why the nightly "
    "run did not create them.",
    find=_find,
)

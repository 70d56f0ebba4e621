"""Privileges that the maintenance role lacks, with the GRANT for each."""

from collections.abc import Iterator

import sql
from ops_pipeline.counted import listed
from ops_pipeline.diagnosis.diagnosis import Diagnosis, Examination
from ops_pipeline.finding import Finding
from ops_pipeline.maintenance import references
from ops_pipeline.maintenance.reach import reach
from ops_pipeline.maintenance.retention.policy import Retention
from ops_pipeline.maintenance.vacuum.policy import Vacuum
from ops_pipeline.maintenance.vacuum.tables import Table, policy_tables
from ops_pipeline.partitions.partition import partition_key
from ops_pipeline.postgres.connection import Connection
from ops_pipeline.postgres.relation import Relation

Privilege = tuple[Relation, str]
"""A table and the privilege: SELECT, DELETE, UPDATE (of any column), or OWNER (membership in the owner)."""


def _find(examined: Examination) -> Iterator[Finding]:
    required = dict.fromkeys(_required(examined))
    values = {"tables": [table.oid for table, _ in required], "privileges": [name for _, name in required]}
    by_remedy: dict[str, list[tuple[str, str]]] = {}  # one GRANT may be for many partitions
    for subject, lacking, grant in examined.connection.execute(sql.get("diagnosis/rights"), values):
        by_remedy.setdefault(grant, []).append((subject, lacking))
    for grant, lacks in by_remedy.items():
        what = listed([f"{lacking} on {subject}" for subject, lacking in lacks])
        yield Finding(
            lacks[0][0],
            f"{examined.connection.info.user} lacks {what}. As the owner or a superuser",
            (grant,),
        )


def _required(examined: Examination) -> Iterator[Privilege]:
    for policy, table, parent in examined.deleting():
        yield table, "DELETE"
        yield from ((seen, "SELECT") for seen in (table, parent) if seen is not None)
        yield from ((child, "SELECT") for child in references.referring(examined.connection, table))
        if policy.cascade == "archive" and (cascaded := reach(examined.connection, table).cascaded):
            yield table, "UPDATE"  # its rows are locked while those that refer to them are archived
            yield from ((child, "DELETE") for child in cascaded)
        # Only the owner may detach and drop a partition.
        if isinstance(policy, Retention) and partition_key(examined.connection, table) == policy.column:
            yield table, "OWNER"


def _find_vacuum(examined: Examination) -> Iterator[Finding]:
    for policy in examined.policies:
        if isinstance(policy, Vacuum) and (tables := _not_allowed(examined.connection, policy)):
            values = {"tables": [table.oid for table in tables]}
            ways = [way for (way,) in examined.connection.execute(sql.get("diagnosis/vacuum_rights"), values)]
            yield Finding(
                policy.name,
                f"{examined.connection.info.user} is not permitted to VACUUM {listed(tables)}: "
                "they are skipped, and the run ends as stopped. As a superuser",
                (" ".join(ways),),
            )


def _not_allowed(connection: Connection, policy: Vacuum) -> list[Table]:
    try:
        tables = policy_tables(connection, policy)
    except LookupError:
        return []  # `policy_mismatch` names the table that is missing
    return [table for table in tables if not table.allowed and not table.system]


RIGHTS = Diagnosis(
    id="rights",
    severity="error",
    question="Does the maintenance role have the privileges that the policies need on their tables?",
    remedy="Execute the finding's `GRANT` ([privileges](rights.md)).",
    find=_find,
)
VACUUM_RIGHTS = Diagnosis(
    id="vacuum_rights",
    severity="warning",
    question="Is the maintenance role permitted to VACUUM the tables of the vacuum policy?",
    remedy="From PostgreSQL 17, run `GRANT pg_maintain TO …`; in earlier versions, grant it membership in "
    "the tables' owners.",
    find=_find_vacuum,
)

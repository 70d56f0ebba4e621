"""What the policies would remove now. Reads only."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from psycopg import sql as compose

import sql
from ops_pipeline import policy
from ops_pipeline.database import Connection, row
from ops_pipeline.maintenance import catalog, orphans, retention, vacuum


@dataclass(frozen=True, slots=True)
class Planned:
    """What one policy would do, in rows.

    `eligible` of `total` would go, which is `fraction` of them. `unset`: rows whose time or reference
    is NULL, which are kept. `oldest`, `newest`: of the eligible rows. `dead_tuples`: dead row versions
    that wait for VACUUM, which itself removes no rows.
    """

    policy: str
    eligible: int
    total: int
    fraction: float
    method: str
    unset: int = 0
    oldest: datetime | None = None
    newest: datetime | None = None
    dead_tuples: int = 0


def plan(connection: Connection, database: policy.Database) -> Iterator[Planned]:
    """What each policy of the database would do if it ran now, in the order of a night.

    Counts are exact: each table is read once. An orphan whose parent tonight's retention has yet to
    remove is counted on the night itself. The policies must have passed `catalog.check`.
    """
    for rule in database.policies:
        match rule:
            case policy.Retention():
                yield _retention(connection, rule)
            case policy.Orphans():
                yield _orphans(connection, rule)
            case policy.Vacuum():
                yield _vacuum(connection, rule)


def _retention(connection: Connection, rule: policy.Retention) -> Planned:
    table = catalog.relation(connection, rule.table)
    statement = compose.SQL(sql.get("retention/count")).format(
        table=table.identifier, column=compose.Identifier(rule.column)
    )
    values = {"cutoff": retention.cutoff(connection, rule)}
    eligible, total, oldest, newest, unset = row(connection, statement, values)
    return Planned(
        rule.name,
        eligible,
        total,
        _fraction(eligible, total),
        "block ranges",
        unset,
        oldest,
        newest,
        catalog.dead_tuples(connection, table),
    )


def _orphans(connection: Connection, rule: policy.Orphans) -> Planned:
    statement = compose.SQL(sql.get("orphans/count")).format(**orphans.names(connection, rule))
    eligible, total, unset = row(connection, statement)
    return Planned(
        rule.name,
        eligible,
        total,
        _fraction(eligible, total),
        "anti-join by key windows",
        unset,
        dead_tuples=catalog.dead_tuples(connection, catalog.relation(connection, rule.table)),
    )


def _vacuum(connection: Connection, rule: policy.Vacuum) -> Planned:
    tables = vacuum.tables(connection, rule)
    live = sum(catalog.live_tuples(connection, table) for table in tables)
    dead = sum(catalog.dead_tuples(connection, table) for table in tables)
    method = "VACUUM (ANALYZE)" if rule.analyze else "VACUUM"
    return Planned(rule.name, 0, live, 0.0, method, dead_tuples=dead)


def _fraction(part: int, whole: int) -> float:
    return part / whole if whole else 0.0

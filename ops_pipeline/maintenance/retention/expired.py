"""Which rows are too old, and how many of them there are."""

from datetime import datetime

from psycopg import sql as compose

import sql
from ops_pipeline import policy
from ops_pipeline.database import Connection, scalar
from ops_pipeline.maintenance import catalog
from ops_pipeline.maintenance.windows import doomed


def cutoff(connection: Connection, rule: policy.Retention) -> datetime:
    """The moment before which the rule's rows are too old, by the server's clock."""
    moment: datetime = scalar(connection, sql.get("retention/cutoff"), {"keep": rule.keep})
    return moment


def expired(rule: policy.Retention, before: datetime) -> compose.Composed:
    """The rows that are too old, as a condition over the alias `doomed`.

    A row whose time is NULL has none, and neither has one whose time is -infinity: it stays.
    """
    return compose.SQL(sql.get("retention/expired")).format(
        column=doomed(rule.column), cutoff=compose.Literal(before)
    )


def due(connection: Connection, rule: policy.Retention) -> datetime:
    """The moment before which no row should be left now.

    Rows expire all day and go at night, so it is the cutoff of the last complete run; when there has
    been none for 25 hours, it is the cutoff of this moment, and what has piled up shows.
    """
    last = connection.execute(sql.get("retention/last_cutoff"), {"policy": rule.name}).fetchone()
    return cutoff(connection, rule) if last is None else last[0]


def left(connection: Connection, rule: policy.Retention, before: datetime) -> int:
    """How many rows are older than that."""
    statement = _composed(connection, rule, "retention/left")
    return int(scalar(connection, statement, {"cutoff": before}))


def _composed(connection: Connection, rule: policy.Retention, statement: str) -> compose.Composed:
    table = catalog.relation(connection, rule.table)
    return compose.SQL(sql.get(statement)).format(
        table=table.identifier, column=compose.Identifier(rule.column)
    )

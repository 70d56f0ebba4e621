"""Which rows are too old, and how many of them there are."""

from datetime import datetime

from psycopg import sql as compose

import sql
from ops_pipeline.maintenance.batches.scans import target
from ops_pipeline.maintenance.retention.policy import Retention
from ops_pipeline.postgres import catalog
from ops_pipeline.postgres.connection import Connection, scalar
from ops_pipeline.postgres.relation import find_relation


def cutoff(connection: Connection, rule: Retention) -> datetime:
    """The moment before which the rule's rows are too old, by the server's clock."""
    moment: datetime = scalar(connection, sql.get("maintenance/retention/cutoff"), {"keep": rule.keep})
    return moment


def expired(rule: Retention, before: datetime) -> compose.Composed:
    """The rows that are too old, as a condition over the alias `target`.

    A row whose time is NULL has none, and neither has one whose time is -infinity: it stays.
    """
    return compose.SQL(sql.get("maintenance/retention/expired")).format(
        column=target(rule.column), cutoff=compose.Literal(before)
    )


def due(connection: Connection, rule: Retention) -> datetime:
    """The moment before which no row should be left now.

    Rows expire all day and go at night, so it is the cutoff of the last complete run; when there has
    been none for 25 hours, it is the cutoff of this moment, and what has piled up shows.
    """
    last = connection.execute(sql.get("maintenance/retention/last_cutoff"), {"policy": rule.name}).fetchone()
    return cutoff(connection, rule) if last is None else last[0]


def left(connection: Connection, rule: Retention, before: datetime) -> int:
    """How many rows are older than that."""
    statement = _composed(connection, rule, "maintenance/retention/left")
    return int(scalar(connection, statement, {"cutoff": before}))


def _composed(connection: Connection, rule: Retention, statement: str) -> compose.Composed:
    table = find_relation(connection, rule.table)
    return compose.SQL(sql.get(statement)).format(
        rows=catalog.local_rows(connection, table), column=target(rule.column)
    )

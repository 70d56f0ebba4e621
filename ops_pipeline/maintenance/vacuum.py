"""VACUUM, table by table: each on its own, so that one which cannot be had does not keep the rest."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import sql as compose

import sql
from ops_pipeline import policy
from ops_pipeline.database import Connection
from ops_pipeline.maintenance import catalog
from ops_pipeline.maintenance.history import Record
from ops_pipeline.maintenance.result import COMPLETED, Work
from ops_pipeline.maintenance.sweep import Report, Stop


def vacuum(
    connection: Connection, rule: policy.Vacuum, record: Record, *, stop: Stop, report: Report
) -> Work:
    """Vacuums the policy's tables, and counts them.

    A table that is locked, or that this user may not vacuum, is passed over, counted as left and named
    in the reason.
    """
    before = after = 0
    passed_over: list[str] = []
    for table in tables(connection, rule):
        if (reason := stop()) is not None:
            return Work(reason, len(passed_over), None, before, after)
        dead = catalog.dead_tuples(connection, table)
        problem = _vacuum(connection, table, analyze=rule.analyze)
        remaining = catalog.dead_tuples(connection, table)
        record.add(connection, examined=1, removed=0)
        before, after = before + dead, after + remaining
        if problem is not None:
            passed_over.append(f"{table}: {problem}")
        report(f"{rule.name}: {table}, dead rows {dead:,} before, {remaining:,} after")
    reason = f"passed over {'; '.join(passed_over)}" if passed_over else COMPLETED
    return Work(reason, len(passed_over), None, before, after)


def tables(connection: Connection, rule: policy.Vacuum) -> list[catalog.Relation]:
    """The tables of the policy."""
    if rule.tables == "all":
        return [catalog.Relation(*row) for row in connection.execute(sql.get("vacuum/tables"))]
    return [catalog.relation(connection, table) for table in rule.tables]


def _vacuum(connection: Connection, table: catalog.Relation, *, analyze: bool) -> str | None:
    """Vacuums it and returns what kept PostgreSQL from doing so, if anything did."""
    statement = compose.SQL(sql.get("vacuum/vacuum")).format(
        table=table.identifier, analyze=compose.SQL("true" if analyze else "false")
    )
    with _warnings(connection) as warnings:
        try:
            connection.execute(statement)
        except psycopg.errors.LockNotAvailable:
            return "locked by another session"
        except psycopg.errors.UndefinedTable:
            return None  # dropped since we listed it
    return "; ".join(warnings) or None


@contextmanager
def _warnings(connection: Connection) -> Iterator[list[str]]:
    # A user who may not vacuum a table gets a warning and no error.
    seen: list[str] = []

    def note(diagnostic: psycopg.errors.Diagnostic) -> None:
        if diagnostic.severity_nonlocalized == "WARNING":
            seen.append(diagnostic.message_primary or "an unnamed warning")

    connection.add_notice_handler(note)
    try:
        yield seen
    finally:
        connection.remove_notice_handler(note)

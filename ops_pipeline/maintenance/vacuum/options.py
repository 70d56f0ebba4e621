"""Builds the VACUUM or ANALYZE statement for a table, with the options that the server's version has."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from psycopg import sql as compose

import sql
from ops_pipeline.maintenance.vacuum.policy import Vacuum
from ops_pipeline.maintenance.vacuum.priorities import Choice
from ops_pipeline.postgres.catalog import BUFFER_USAGE_LIMIT_SINCE
from ops_pipeline.postgres.connection import Connection, scalar

DATABASE_STATS_SINCE = 160000
"""Since this version SKIP_DATABASE_STATS saves VACUUM a scan of pg_class after each table."""


def statement(choice: Choice, policy: Vacuum, version: int, *, skip_locked: bool) -> compose.Composed:
    """The VACUUM or ANALYZE for a choice, on a server of that version.

    TRUNCATE is off unless the policy sets it: truncating empty pages at a table's end takes an ACCESS
    EXCLUSIVE lock, which blocks readers, on standbys as well.
    """
    options: list[compose.Composable] = []
    if choice.action != "analyze":
        options += _of_vacuum(choice, policy)
    options.append(compose.SQL("SKIP_LOCKED {}").format(_switch(skip_locked)))
    if policy.buffer_usage_limit is not None and version >= BUFFER_USAGE_LIMIT_SINCE:
        options.append(compose.SQL("BUFFER_USAGE_LIMIT {}").format(policy.buffer_usage_limit))
    if choice.action != "analyze" and version >= DATABASE_STATS_SINCE:
        options.append(compose.SQL("SKIP_DATABASE_STATS"))
    command = "analyze" if choice.action == "analyze" else "vacuum"
    return compose.SQL(sql.get(f"maintenance/vacuum/{command}")).format(
        options=compose.SQL(", ").join(options), table=choice.table.relation.identifier
    )


def record_oldest(connection: Connection) -> None:
    """Updates the database's datfrozenxid once at the end, because `statement` skips it for each table."""
    if connection.info.server_version >= DATABASE_STATS_SINCE:
        connection.execute(sql.get("maintenance/vacuum/database_stats"))


@contextmanager
def with_setting(
    connection: Connection, name: Literal["vacuum_cost_delay", "lock_timeout"], value: str
) -> Iterator[None]:
    """Sets a session's parameter inside the context, and restores it afterwards."""
    before = scalar(connection, sql.get("maintenance/vacuum/setting"), {"name": name})
    change = sql.get("maintenance/vacuum/change_setting")
    connection.execute(change, {"name": name, "value": value})
    try:
        yield
    finally:
        if not (connection.closed or connection.broken):
            connection.execute(change, {"name": name, "value": before})


def _of_vacuum(choice: Choice, policy: Vacuum) -> Iterator[compose.Composable]:
    if choice.action == "freeze":
        yield compose.SQL("FREEZE")
    yield compose.SQL("ANALYZE {}").format(_switch(choice.analyze))
    yield compose.SQL("TRUNCATE {}").format(_switch(policy.truncate))
    yield compose.SQL("INDEX_CLEANUP {}").format(compose.SQL(policy.index_cleanup))
    if policy.parallel is not None:
        yield compose.SQL("PARALLEL {}").format(policy.parallel)


def _switch(on: bool) -> compose.SQL:
    return compose.SQL("true" if on else "false")

"""Which rows are expired: the cutoff and the condition."""

from datetime import datetime

from psycopg import sql as compose

import sql
from ops_pipeline.maintenance.batches.scans import target
from ops_pipeline.maintenance.retention.policy import Retention
from ops_pipeline.postgres import catalog
from ops_pipeline.postgres.connection import Connection, scalar
from ops_pipeline.postgres.relation import find_relation


def cutoff_now(connection: Connection, policy: Retention) -> datetime:
    """The time before which the policy's rows are expired, by the server's clock. Where the column is a date,
    the start of a day in UTC: a row may have been written at the end of its day."""
    table = find_relation(connection, policy.table)
    values = {"keep": policy.keep, "is_date": policy.column in catalog.dates(connection, table)}
    cutoff: datetime = scalar(connection, sql.get("maintenance/retention/cutoff"), values)
    return cutoff


def expired(policy: Retention, cutoff: datetime) -> compose.Composed:
    """The condition for expired rows, over the alias `target`.

    A row whose time is NULL or infinite is kept.
    """
    return compose.SQL(sql.get("maintenance/retention/expired")).format(
        column=target(policy.column), cutoff=compose.Literal(cutoff)
    )


def last_cutoff(connection: Connection, policy: Retention) -> datetime:
    """The time before which no row should remain now.

    Rows expire all day and are deleted once per nightly run, so this is the cutoff of the last complete run.
    Without a complete run in 25 hours it is the cutoff now, so that the backlog shows.
    """
    values = {"policy": policy.name}
    cutoff = connection.execute(sql.get("maintenance/retention/last_cutoff"), values).fetchone()
    return cutoff_now(connection, policy) if cutoff is None else cutoff[0]

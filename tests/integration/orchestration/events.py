"""A table that is partitioned by day, with twenty events on each day, an hour after midnight (UTC)."""

from datetime import UTC, date, datetime, timedelta

from ops_pipeline.partitions.premake import premake_days
from ops_pipeline.postgres.connection import Connection
from tests.named import named


def today() -> date:
    """The current day. Tests ask for it when they run, because a test run may pass midnight."""
    return datetime.now(UTC).date()


A_DAY = 20


def fill_events(connection: Connection, days: int) -> None:
    """Creates the table `events` and fills the last `days` days, today among them."""
    connection.execute("CREATE TABLE events (id int, at timestamptz NOT NULL) PARTITION BY RANGE (at)")
    premake_days(connection, named(connection, "events"), today() - timedelta(days=days - 1), today())
    connection.execute(
        "INSERT INTO events"
        " SELECT n, (%(today)s::date - n / 20)::timestamp AT TIME ZONE 'UTC' + interval '1 hour'"
        " FROM generate_series(0, 20 * %(days)s - 1) AS n",
        {"today": today(), "days": days},
    )

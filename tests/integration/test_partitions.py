"""A row of any date finds a home, and its own day's partition when there is one."""

from datetime import UTC, date, datetime, timedelta

import psycopg
import pytest

from ops_pipeline.database import Connection, scalar
from ops_pipeline.maintenance import partitions

INSERT = "INSERT INTO audit_logs (event_type, created_at) VALUES ('login', %s)"
HOME = "SELECT tableoid::regclass::text FROM audit_logs WHERE created_at = %s"


def test_each_day_gets_its_partition_once(connection: Connection) -> None:
    first, last = date(2026, 1, 30), date(2026, 2, 2)

    assert partitions.ensure_days(connection, "audit_logs", first, last) == 4
    assert partitions.ensure_days(connection, "audit_logs", first, last) == 0

    noon = datetime(2026, 2, 1, 12, tzinfo=UTC)
    connection.execute(INSERT, [noon])
    assert scalar(connection, HOME, [noon]) == "audit_logs_20260201"


def test_a_row_of_any_date_finds_a_home(connection: Connection) -> None:
    for year in (1970, 2023, 2199):
        when = datetime(year, 6, 1, tzinfo=UTC)
        connection.execute(INSERT, [when])
        assert scalar(connection, HOME, [when]) == "audit_logs_default"


def test_rows_in_the_default_partition_move_to_their_day(connection: Connection) -> None:
    inside, outside = datetime(2030, 5, 5, tzinfo=UTC), datetime(2030, 5, 6, tzinfo=UTC)
    connection.execute(INSERT, [inside])
    connection.execute(INSERT, [outside])

    partitions.ensure_days(connection, "audit_logs", inside.date(), inside.date())

    assert scalar(connection, HOME, [inside]) == "audit_logs_20300505"
    assert scalar(connection, HOME, [outside]) == "audit_logs_default"


def test_today_and_the_days_to_come_exist(connection: Connection) -> None:
    partitions.ensure_ahead(connection, "audit_logs")

    days = {each.lower.date() for each in partitions.existing(connection, "audit_logs") if each.lower}
    today = datetime.now(UTC).date()
    assert {today + timedelta(days=ahead) for ahead in range(partitions.DAYS_AHEAD + 1)} <= days


def test_a_day_is_created_while_others_are_written(connection: Connection, url: str) -> None:
    partitions.ensure_days(connection, "audit_logs", date(2026, 3, 1), date(2026, 3, 1))
    with psycopg.connect(url) as writer:
        writer.execute(INSERT, [datetime(2026, 3, 1, tzinfo=UTC)])  # its transaction stays open

        assert partitions.ensure_days(connection, "audit_logs", date(2026, 3, 2), date(2026, 3, 2)) == 1


def test_an_ordinary_table_is_refused(connection: Connection) -> None:
    connection.execute("CREATE TABLE plain (created_at timestamptz)")

    with pytest.raises(partitions.NotPartitionedError, match="plain"):
        partitions.ensure_days(connection, "plain", date(2026, 1, 1), date(2026, 1, 1))

"""Partitions are premade, and a row of any date can be inserted, into its day's partition if there is one."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops_pipeline.partitions.gaps import gaps, midnight
from ops_pipeline.partitions.partition import NotPartitionedError, Partition, existing
from ops_pipeline.partitions.premake import premake, premake_days
from ops_pipeline.postgres.connection import Connection, scalar
from ops_pipeline.postgres.locks import LockedError
from tests.named import named

INSERT = "INSERT INTO audit_logs (event_type, created_at) VALUES ('login', %s)"
HOME = "SELECT tableoid::regclass::text FROM audit_logs WHERE created_at = %s"


def test_each_day_gets_its_partition_once(connection: Connection) -> None:
    first, last = date(2026, 1, 30), date(2026, 2, 2)

    assert premake_days(connection, named(connection, "audit_logs"), first, last) == 4
    assert premake_days(connection, named(connection, "audit_logs"), first, last) == 0

    noon = datetime(2026, 2, 1, 12, tzinfo=UTC)
    connection.execute(INSERT, [noon])
    assert scalar(connection, HOME, [noon]) == "audit_logs_20260201"


def test_a_row_of_any_date_can_be_inserted(connection: Connection) -> None:
    for year in (1970, 2023, 2199):
        when = datetime(year, 6, 1, tzinfo=UTC)
        connection.execute(INSERT, [when])
        assert scalar(connection, HOME, [when]) == "audit_logs_default"


def test_rows_in_the_default_partition_move_to_their_day(connection: Connection) -> None:
    inside, outside = datetime(2030, 5, 5, tzinfo=UTC), datetime(2030, 5, 6, tzinfo=UTC)
    connection.execute(INSERT, [inside])
    connection.execute(INSERT, [outside])

    premake_days(connection, named(connection, "audit_logs"), inside.date(), inside.date())

    assert scalar(connection, HOME, [inside]) == "audit_logs_20300505"
    assert scalar(connection, HOME, [outside]) == "audit_logs_default"


@pytest.mark.parametrize("days", [3, 14])
def test_today_and_the_days_to_come_exist(connection: Connection, days: int) -> None:
    premake(connection, named(connection, "audit_logs"), days)

    present = {
        each.lower.date() for each in existing(connection, named(connection, "audit_logs")) if each.lower
    }
    today = datetime.now(UTC).date()
    assert present == {today + timedelta(days=ahead) for ahead in range(days + 1)}


def test_a_day_is_created_while_others_are_written(connection: Connection, url: str) -> None:
    premake_days(connection, named(connection, "audit_logs"), date(2026, 3, 1), date(2026, 3, 1))
    with psycopg.connect(url) as writer:
        writer.execute(INSERT, [datetime(2026, 3, 1, tzinfo=UTC)])  # its transaction stays open

        assert (
            premake_days(connection, named(connection, "audit_logs"), date(2026, 3, 2), date(2026, 3, 2)) == 1
        )


def test_a_session_that_blocks_premaking_is_named(connection: Connection, url: str) -> None:
    with psycopg.connect(url, application_name="report") as other:
        other.execute("SELECT count(*) FROM audit_logs_default")  # its transaction stays open

        with pytest.raises(LockedError, match=r"report.*SELECT count.*Nothing was changed"):
            premake_days(connection, named(connection, "audit_logs"), date(2026, 3, 2), date(2026, 3, 2))
    assert len(existing(connection, named(connection, "audit_logs"))) == 1


def test_times_covered_by_other_partitions_are_not_covered_again(connection: Connection) -> None:
    connection.execute(
        "CREATE TABLE odd PARTITION OF audit_logs"
        " FOR VALUES FROM ('2026-01-01 06:00+00') TO ('2026-01-02 18:00+00')"
    )
    connection.execute(
        "CREATE TABLE old PARTITION OF audit_logs FOR VALUES FROM (MINVALUE) TO ('2025-12-31')"
    )

    assert (
        premake_days(connection, named(connection, "audit_logs"), date(2025, 12, 30), date(2026, 1, 3)) == 4
    )

    for hour in range(24 * 5):
        moment = datetime(2025, 12, 30, hour % 24, tzinfo=UTC) + timedelta(days=hour // 24)
        connection.execute(INSERT, [moment])
        assert scalar(connection, HOME, [moment]) != "audit_logs_default", moment


def test_a_partition_is_created_though_its_name_is_in_use_or_too_long(connection: Connection) -> None:
    name = "ü" * 31
    connection.execute(f'CREATE TABLE "{name}" (at date) PARTITION BY RANGE (at)')
    connection.execute("CREATE TABLE audit_logs_20260101 ()")

    assert premake_days(connection, named(connection, name), date(2026, 1, 1), date(2026, 1, 3)) == 3
    assert premake_days(connection, named(connection, "audit_logs"), date(2026, 1, 1), date(2026, 1, 1)) == 1

    assert len(existing(connection, named(connection, name))) == 3
    assert existing(connection, named(connection, "audit_logs"))[1].name == "audit_logs_20260101_2"


@pytest.mark.parametrize("column", ["timestamptz", "timestamp", "date"])
def test_a_column_of_any_time_type_is_accepted(connection: Connection, column: str) -> None:
    connection.execute(f"CREATE TABLE rows (at {column}) PARTITION BY RANGE (at)")
    connection.execute("CREATE TABLE rest PARTITION OF rows DEFAULT")
    connection.execute("INSERT INTO rows VALUES ('2026-01-02'), ('2026-01-03'), (NULL)")

    assert premake_days(connection, named(connection, "rows"), date(2026, 1, 1), date(2026, 1, 2)) == 2

    homes = connection.execute("SELECT tableoid::regclass::text, at::text FROM rows ORDER BY at").fetchall()
    assert [home for home, _ in homes] == ["rows_20260102", "rest", "rest"]


def test_bounds_beyond_pythons_years_are_read(connection: Connection) -> None:
    connection.execute(
        "CREATE TABLE ages PARTITION OF audit_logs FOR VALUES FROM ('4000-01-01 BC') TO ('infinity')"
    )

    (ages,) = [each for each in existing(connection, named(connection, "audit_logs")) if each.name == "ages"]

    assert ages.lower is not None
    assert ages.upper is not None
    assert (ages.lower.year, ages.upper.year) == (1, 9999)


@pytest.mark.parametrize("key", ["RANGE (n)", "LIST (created_at)", "RANGE (created_at, n)", ""])
def test_a_table_not_partitioned_by_time_is_refused(connection: Connection, key: str) -> None:
    partition = f"PARTITION BY {key}" if key else ""
    connection.execute(f"CREATE TABLE plain (n int, created_at timestamptz) {partition}")

    with pytest.raises(NotPartitionedError, match="plain"):
        premake_days(connection, named(connection, "plain"), date(2026, 1, 1), date(2026, 1, 1))


def test_a_partition_has_the_owner_of_its_table(connection: Connection, days: Callable[..., object]) -> None:
    connection.execute("DROP ROLE IF EXISTS app_owner")
    connection.execute("CREATE ROLE app_owner")
    try:
        connection.execute("CREATE TABLE owned (at timestamptz) PARTITION BY RANGE (at)")
        connection.execute("ALTER TABLE owned OWNER TO app_owner")
        premake_days(connection, named(connection, "owned"), date(2026, 1, 1), date(2026, 1, 1))
        owner = "SELECT pg_get_userbyid(relowner) FROM pg_class WHERE relname = 'owned_20260101'"
        assert scalar(connection, owner) == "app_owner"
    finally:
        connection.execute("DROP OWNED BY app_owner")
        connection.execute("DROP ROLE app_owner")


HOURS = st.integers(0, 24 * 4)


@given(st.lists(HOURS, max_size=12, unique=True), st.booleans(), st.booleans())
def test_gaps_and_partitions_cover_each_hour_exactly_once(
    cuts: list[int], from_ever: bool, for_ever: bool
) -> None:
    first = date(2026, 1, 1)
    edges: list[int | None] = [*sorted(cuts)]
    edges = ([None] if from_ever else []) + edges + ([None] if for_ever else [])
    present = [
        _partition(first, lower, upper)
        for index, (lower, upper) in enumerate(pairwise(edges))
        if index % 2 == 0 and not (lower is None and upper is None)
    ]

    found = list(gaps(present, first, first + timedelta(days=3)))

    for hour in range(24 * 4):
        moment = midnight(first) + timedelta(hours=hour)
        covering = [
            each
            for each in present
            if (each.lower is None or each.lower <= moment) and (each.upper is None or moment < each.upper)
        ]
        assert len(covering) + sum(each.lower <= moment < each.upper for each in found) == 1, hour
    assert all(each.lower.date() == (each.upper - timedelta(microseconds=1)).date() for each in found)


def _partition(first: date, lower: int | None, upper: int | None) -> Partition:
    def at(hour: int | None) -> datetime | None:
        return None if hour is None else midnight(first) + timedelta(hours=hour)

    return Partition(1, "s", "p", at(lower), at(upper), False, "", 2, "r")

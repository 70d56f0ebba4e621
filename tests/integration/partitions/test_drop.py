"""Exactly the chosen partition is dropped, or all of its rows are kept and the reason is reported."""
# ruff: noqa: S608 - statements of the test itself

import time
from datetime import timedelta

import psycopg
import pytest

import sql
from ops_pipeline.partitions import detach, drop, expired
from ops_pipeline.partitions.partition import PartitionState, state
from ops_pipeline.postgres import locks
from ops_pipeline.postgres.connection import Connection, connect, scalar
from tests.integration.partitions.conftest import FIRST
from tests.integration.partitions.days_table import (
    COUNT,
    NAME,
    REMEMBERED,
    Days,
    both,
    count_rows,
    first_day,
    quoted_name,
)


def test_only_partitions_wholly_past_the_cutoff_are_chosen(connection: Connection, days: Days) -> None:
    relation = days(days=4)
    connection.execute(
        f"CREATE TABLE parted PARTITION OF {NAME} FOR VALUES FROM ('2025-12-30') TO ('2025-12-31')"
        " PARTITION BY RANGE (id)"
    )

    def chosen(column: str, days: float) -> list[str]:
        cutoff = FIRST + timedelta(days=days)
        return [each.name for each in expired.expired_partitions(connection, relation, column, cutoff)]

    assert chosen("created_at", 0.99) == []
    assert chosen("created_at", 2.5) == ["Day's rows_20260101", "Day's rows_20260102"]
    assert len(chosen("created_at", 100_000)) == 4
    assert chosen("id", 2.5) == []


@both
def test_a_day_is_archived_and_dropped_completely(connection: Connection, days: Days, default: bool) -> None:
    relation = days(default=default)
    partition = first_day(connection, relation)
    archived: list[int] = []
    within: list[PartitionState] = []

    done = drop.remove(
        connection,
        relation,
        partition,
        archive=lambda it: archived.append(scalar(connection, count_rows(it))),
        in_drop=lambda own: within.append(state(own, partition)),
    )

    assert isinstance(done, drop.DroppedPartition)
    assert done.bytes > 0
    assert archived == [10]
    assert within == ["detached"]
    assert state(connection, partition) == "gone"
    assert scalar(connection, COUNT) == 20
    assert scalar(connection, REMEMBERED) == 0


@both
def test_dropping_a_day_reads_none_of_its_rows(connection: Connection, days: Days, default: bool) -> None:
    relation = days(default=default, rows=1000)
    connection.execute("SELECT pg_stat_force_next_flush()")
    connection.execute("ANALYZE")
    partition = first_day(connection, relation)
    read = "SELECT seq_scan + coalesce(idx_scan, 0), n_tup_del FROM pg_stat_all_tables WHERE relid = %s"
    connection.execute("SELECT pg_stat_force_next_flush()")
    before = connection.execute(read, [partition.oid]).fetchone()
    after: list[object] = []

    def in_drop(own: Connection) -> None:
        with connect(own.info.dsn + f" password={own.info.password}", "other") as other:
            own.execute("SELECT pg_stat_force_next_flush()")
            after.append(other.execute(read, [partition.oid]).fetchone())

    done = drop.remove(connection, relation, partition, in_drop=in_drop)

    assert isinstance(done, drop.DroppedPartition)
    assert done.rows == 1000
    assert after == [before]


@both
def test_a_blocking_session_is_named_and_nothing_changes(
    connection: Connection, url: str, days: Days, default: bool
) -> None:
    relation = days(default=default)
    partition = first_day(connection, relation)
    with psycopg.connect(url, application_name="report") as other:
        other.execute(COUNT)  # its transaction stays open
        time.sleep(detach.CONCURRENT_LONG_SECONDS)
        pid = other.info.backend_pid
        kept = drop.remove(connection, relation, partition)

    assert isinstance(kept, drop.KeptPartition)
    assert f"pid {pid} (report) of user postgres" in kept.reason
    assert "SELECT count(*)" in kept.reason
    assert "Nothing was changed" not in kept.reason, "the run deletes its rows instead"
    assert state(connection, partition) == "attached"
    assert scalar(connection, REMEMBERED) == 0
    assert isinstance(drop.remove(connection, relation, partition), drop.DroppedPartition)


def test_no_session_queues_behind_a_drop_that_a_long_transaction_blocks(
    connection: Connection, url: str, days: Days, monkeypatch: pytest.MonkeyPatch
) -> None:
    relation = days()
    monkeypatch.setattr(locks, "LONG_SECONDS", -1)
    asked: list[object] = []
    monkeypatch.setattr(detach, "sql", _Watched(asked))
    with psycopg.connect(url) as other:
        other.execute(COUNT)
        drop.remove(connection, relation, first_day(connection, relation))

    assert "partitions/detach" not in asked


class _Watched:
    def __init__(self, asked: list[object]) -> None:
        self._asked = asked

    def get(self, name: str) -> object:
        self._asked.append(name)
        raise AssertionError("a lock was asked for")


@both
def test_a_partition_whose_rows_are_referred_to_is_kept(
    connection: Connection, days: Days, default: bool
) -> None:
    relation = days(default=default)
    connection.execute(
        f"CREATE TABLE child (at timestamptz, id bigint, FOREIGN KEY (at, id) REFERENCES {NAME})"
    )
    connection.execute(f"INSERT INTO child SELECT created_at, id FROM {NAME} ORDER BY created_at LIMIT 1")
    partition = first_day(connection, relation)

    kept = drop.remove(connection, relation, partition)

    assert isinstance(kept, drop.KeptPartition)
    assert "rows of other tables still refer to" in kept.reason
    assert scalar(connection, COUNT) == 30
    assert scalar(connection, REMEMBERED) == 0
    connection.execute("DELETE FROM child")
    assert isinstance(drop.remove(connection, relation, partition), drop.DroppedPartition)


def test_a_partition_that_other_objects_depend_on_is_kept(connection: Connection, days: Days) -> None:
    relation = days()
    partition = first_day(connection, relation)
    connection.execute(f"CREATE VIEW first_of_january AS SELECT * FROM {quoted_name(partition)}")

    kept = drop.remove(connection, relation, partition)

    assert isinstance(kept, drop.KeptPartition)
    assert "first_of_january" in kept.reason
    assert state(connection, partition) == "attached"


OWN_OBJECTS = """
CREATE FUNCTION touched() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
CREATE TRIGGER of_column AFTER UPDATE OF id ON {table} FOR EACH ROW EXECUTE FUNCTION touched();
CREATE TRIGGER when_column AFTER UPDATE ON {table} FOR EACH ROW WHEN (NEW.id > 5) EXECUTE FUNCTION touched();
CREATE TRIGGER own AFTER UPDATE OF id ON {partition} FOR EACH ROW EXECUTE FUNCTION touched();
CREATE POLICY visible ON {partition} USING (id > 0);
CREATE RULE counted AS ON UPDATE TO {partition} WHERE OLD.id < 0 DO ALSO SELECT 1;
CREATE STATISTICS of_two ON id, created_at FROM {partition};
"""


def test_a_partition_goes_with_the_objects_of_its_own(connection: Connection, days: Days) -> None:
    relation = days()
    partition = first_day(connection, relation)
    connection.execute(OWN_OBJECTS.format(table=NAME, partition=quoted_name(partition)))

    assert isinstance(drop.remove(connection, relation, partition), drop.DroppedPartition)


@pytest.mark.parametrize(
    "swap",
    [
        "ALTER TABLE {p} RENAME TO kept",
        "ALTER TABLE {p} RENAME TO kept; CREATE TABLE {p} (LIKE kept)",
        "ALTER TABLE {t} DETACH PARTITION {p};"
        "ALTER TABLE {t} ATTACH PARTITION {p} FOR VALUES FROM ('2026-01-01') TO ('2026-01-01 12:00')",
    ],
    ids=["renamed", "another of its name", "other bounds"],
)
def test_another_table_than_the_chosen_one_is_left_alone(
    connection: Connection, days: Days, swap: str
) -> None:
    relation = days()
    partition = first_day(connection, relation)
    connection.execute(swap.format(p=quoted_name(partition), t=NAME))
    before = scalar(connection, "SELECT count(*) FROM pg_class")

    kept = drop.remove(connection, relation, partition)

    assert isinstance(kept, drop.KeptPartition)
    assert "no longer the chosen partition" in kept.reason
    with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState, match="no longer the chosen partition"):
        connection.execute(sql.get("partitions/detach"), partition.identity)
    assert scalar(connection, "SELECT count(*) FROM pg_class") == before
    assert scalar(connection, COUNT) == 30
    assert scalar(connection, REMEMBERED) == 0


def test_another_table_than_the_detached_one_is_not_dropped(connection: Connection, days: Days) -> None:
    relation = days()
    partition = first_day(connection, relation)
    assert drop.take_out(connection, relation, partition) is None
    quoted = quoted_name(partition)
    connection.execute(f"ALTER TABLE {quoted} RENAME TO kept")
    connection.execute(f"CREATE TABLE {quoted} (precious text)")

    kept = drop.remove(connection, relation, partition)

    assert isinstance(kept, drop.KeptPartition)
    assert "it was not changed" in kept.reason
    assert scalar(connection, "SELECT count(*) FROM kept") == 10
    assert scalar(connection, f"SELECT count(*) FROM {quoted}") == 0


@both
@pytest.mark.parametrize("asked", [1, 2])
def test_a_day_on_hold_is_kept(connection: Connection, days: Days, default: bool, asked: int) -> None:
    """The hold is older than the drop, or was added after the day was detached."""
    relation = days(default=default)
    partition = first_day(connection, relation)
    answers = ["a hold" if number >= asked else None for number in range(1, 4)]

    kept = drop.remove(connection, relation, partition, keeps=lambda _: answers.pop(0))

    assert isinstance(kept, drop.KeptPartition)
    assert "hold" in kept.reason
    assert state(connection, partition) == "attached"
    assert scalar(connection, COUNT) == 30


def test_a_detached_partition_accepts_no_row_of_another_time(connection: Connection, days: Days) -> None:
    relation = days()
    partition = first_day(connection, relation)
    assert drop.take_out(connection, relation, partition) is None

    with pytest.raises(psycopg.errors.CheckViolation):
        connection.execute(f"INSERT INTO {quoted_name(partition)} (created_at, id) VALUES ('2026-06-01', 1)")

"""A drop that was interrupted is finished or undone by the next run."""

from datetime import timedelta

import psycopg
import pytest

import sql
from ops_pipeline.partitions import detach, drop, expired
from ops_pipeline.partitions.partition import Partition, state
from ops_pipeline.postgres.connection import Connection, connect, scalar
from tests.integration.partitions.conftest import FIRST
from tests.integration.partitions.days_table import (
    COUNT,
    CUTOFF,
    NAME,
    REMEMBERED,
    Days,
    both,
    count_rows,
    first_day,
    quoted_name,
)


@both
def test_when_the_archive_fails_the_day_is_in_its_table_again(
    connection: Connection, days: Days, default: bool
) -> None:
    relation = days(default=default)
    partition = first_day(connection, relation)

    def full(_: Partition) -> None:
        raise OSError("no space left on device")

    with pytest.raises(OSError, match="no space left"):
        drop.remove(connection, relation, partition, archive=full)

    assert state(connection, partition) == "attached"
    assert scalar(connection, COUNT) == 30
    assert scalar(connection, REMEMBERED) == 0


@both
def test_a_crash_between_detach_and_drop_is_finished_by_the_next_run(
    connection: Connection, url: str, days: Days, default: bool
) -> None:
    relation = days(default=default)
    partition = first_day(connection, relation)
    with connect(url, "doomed") as doomed:

        def die(_: Partition) -> None:
            connection.execute("SELECT pg_terminate_backend(%s)", [doomed.info.backend_pid])

        with pytest.raises(psycopg.OperationalError):
            drop.remove(doomed, relation, partition, archive=die)
    assert state(connection, partition) == "detached"

    assert drop.leftovers(connection, relation, CUTOFF) == [partition]
    assert isinstance(drop.remove(connection, relation, partition), drop.DroppedPartition)
    assert drop.leftovers(connection, relation, CUTOFF) == []
    assert scalar(connection, COUNT) == 20


def test_a_detached_day_that_is_kept_after_all_is_attached_again(connection: Connection, days: Days) -> None:
    relation = days()
    partition = first_day(connection, relation)
    assert drop.take_out(connection, relation, partition) is None
    assert scalar(connection, COUNT) == 20

    assert drop.leftovers(connection, relation, CUTOFF - timedelta(hours=1)) == []

    assert scalar(connection, COUNT) == 30
    assert first_day(connection, relation) == partition


def test_a_recorded_detach_whose_partition_is_missing_is_forgotten(
    connection: Connection, days: Days
) -> None:
    relation = days()
    one, two, _ = expired.expired_partitions(connection, relation, "created_at", FIRST + timedelta(days=9))
    for partition in (one, two):
        connection.execute(sql.get("partitions/remember"), partition.identity)
    connection.execute(f"DROP TABLE {quoted_name(two)}")

    assert drop.leftovers(connection, relation, CUTOFF) == []
    assert scalar(connection, REMEMBERED) == 0
    assert scalar(connection, COUNT) == 20


def test_an_interrupted_detach_is_completed_first(connection: Connection, url: str, days: Days) -> None:
    relation = days(default=False)
    partition = first_day(connection, relation)
    with psycopg.connect(url) as reader:
        reader.execute(COUNT)
        connection.execute("SET lock_timeout = '100ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            connection.execute(f"ALTER TABLE {NAME} DETACH PARTITION {quoted_name(partition)} CONCURRENTLY")
    assert state(connection, partition) == "pending"

    assert detach.finalize_detaches(connection, relation) == [str(partition)]
    assert state(connection, partition) == "detached"
    assert detach.finalize_detaches(connection, relation) == []
    (second,) = expired.expired_partitions(connection, relation, "created_at", FIRST + timedelta(days=2))
    assert isinstance(drop.remove(connection, relation, second), drop.DroppedPartition)
    assert scalar(connection, count_rows(partition)) == 10


def test_a_reader_that_arrives_during_the_detach_leaves_it_to_the_next_run(
    connection: Connection, url: str, days: Days, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A session that arrives after the detach has begun can still block its second half."""
    relation = days(default=False)
    partition = first_day(connection, relation)
    monkeypatch.setattr(detach, "CONCURRENT_LONG_SECONDS", 1000)
    monkeypatch.setattr(detach, "CONCURRENT_WAIT", "100ms")
    with psycopg.connect(url, application_name="report") as reader:
        reader.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        reader.execute(COUNT)
        kept = drop.remove(connection, relation, partition)

    assert isinstance(kept, drop.KeptPartition)
    assert "report" in kept.reason
    assert state(connection, partition) == "pending"
    assert scalar(connection, REMEMBERED) == 1

    assert detach.finalize_detaches(connection, relation) == [str(partition)]
    assert drop.leftovers(connection, relation, CUTOFF) == [partition]
    assert isinstance(drop.remove(connection, relation, partition), drop.DroppedPartition)

"""Other tools that delete expired rows, each used as documented, with batches of a fair size."""

import os
import sys
import time
from datetime import timedelta
from pathlib import Path

import psycopg
from pg_partsmith import (
    CreateAhead,
    DropAfter,
    KeepNewest,
    LifecyclePolicy,
    PartitionEvent,
    PartitionGranularity,
    RangePartitioning,
    TablePartitionConfig,
    TimeBoundaries,
)
from pg_partsmith.sync import (
    BasePartitionLifecycleHooks,
    PartitionLifecycleService,
    PartitionMaintainer,
    PostgresAdvisoryLockManager,
    PostgresMetadataProvider,
    PostgresPartitionRepository,
)
from psycopg import conninfo
from psycopg import sql as compose
from sqlalchemy import create_engine

from benchmarks import compare
from benchmarks.result import Removal

EXPIRED = "at < date_trunc('day', now()) - interval '30 days'"
BATCH = 10_000


def pg_batch(url: str, _: Path) -> Removal:
    """pg-batch: reads and deletes keys in batches. Its default of 50 keys a statement would be unfair."""
    parts = conninfo.conninfo_to_dict(url)
    before = _rows(url)
    compare.run(
        [str(Path(sys.executable).with_name("pg_batch")), "-H", str(parts["host"]), "-P", str(parts["port"]),
         "-U", str(parts["user"]), "-p", str(parts["password"]), "-d", str(parts["dbname"]), "-t", "visits",
         "-id", "id", "-w", EXPIRED, "-a", "delete", "-n", "-rbz", str(5 * BATCH), "-wbz", str(BATCH)]
    )  # fmt: skip
    return Removal(before - _rows(url))


def airflow(url: str, _: Path) -> Removal:
    """Airflow's `db clean`: copies the rows to delete into a table, then deletes them by key
    (airflow/utils/db_cleanup.py, _do_delete)."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE TABLE _deleted__visits AS SELECT * FROM visits WHERE {EXPIRED}")  # noqa: S608 - a constant
        deleted = connection.execute(
            "DELETE FROM visits USING _deleted__visits AS gone"
            " WHERE visits.id = gone.id AND visits.at = gone.at"
        )
        return Removal(deleted.rowcount)


def partsmith(url: str, _: Path) -> Removal:
    """pg-partsmith: detaches and drops partitions by its plan."""
    return _partsmith(url, None)


def partsmith_archiving(url: str, folder: Path) -> Removal:
    """The same, with its hook before each drop, which writes the partition with COPY into a synced file."""
    return _partsmith(url, folder)


def partman(url: str, _: Path) -> Removal:
    """pg_partman: drops partitions by a retention of 30 days in a run of its maintenance."""
    before = _rows(url)
    with psycopg.connect(url, autocommit=True) as connection:
        began = time.perf_counter()
        connection.execute("SELECT partman.run_maintenance('public.visits')")
        seconds = time.perf_counter() - began
    return Removal(before - _rows(url), seconds)


def _rows(url: str) -> int:
    with psycopg.connect(url) as connection:
        (rows,) = connection.execute("SELECT count(*) FROM visits").fetchone() or (0,)
    return int(rows)


class _CopyBeforeDrop(BasePartitionLifecycleHooks):
    """The export that pg-partsmith's documentation suggests for this hook."""

    def __init__(self, url: str, folder: Path) -> None:
        self._url = url
        self._folder = folder

    def before_drop(self, event: PartitionEvent) -> None:
        file = self._folder / f"{event.partition.name}.copy"
        with (
            psycopg.connect(self._url) as connection,
            file.open("wb") as written,
            connection.cursor() as cursor,
        ):
            statement = compose.SQL("COPY {} TO STDOUT (FORMAT binary)").format(
                compose.Identifier(*event.partition.name.split("."))
            )
            with cursor.copy(statement) as copy:
                for data in copy:
                    written.write(data)
            written.flush()
            os.fsync(written.fileno())


def _partsmith(url: str, folder: Path | None) -> Removal:
    before = _rows(url)
    config = TablePartitionConfig(
        table_name="visits",
        scheme=RangePartitioning(
            key=("at",), boundaries=TimeBoundaries(granularity=PartitionGranularity.DAY)
        ),
        lifecycle=LifecyclePolicy(
            creation=CreateAhead(count=1), retention=KeepNewest(count=31), drop=DropAfter(timedelta(0))
        ),
    )
    engine = create_engine(url.replace("postgresql://", "postgresql+psycopg2://"))
    began = time.perf_counter()
    service = PartitionLifecycleService(
        repo=PostgresPartitionRepository(engine),
        metadata=PostgresMetadataProvider(engine),
        locks=PostgresAdvisoryLockManager(engine),
        hooks=[] if folder is None else [_CopyBeforeDrop(url, folder)],
    )
    result = PartitionMaintainer(service).run_maintenance_safe(config)
    seconds = time.perf_counter() - began
    engine.dispose()
    if result.dropped_count != 30:
        sys.exit(f"pg-partsmith dropped {result.dropped_count} days: {result.issues}")
    return Removal(before - _rows(url), seconds)

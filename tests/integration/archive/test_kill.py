"""A worker killed at any step leaves each row in the table or in the archive, once."""

import itertools
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from ops_pipeline.archive.archive import Archive
from ops_pipeline.archive.archive_error import ArchiveError
from ops_pipeline.archive.arrow_session import ArrowSession, CommitUnknownError
from ops_pipeline.archive.files import temporary_prefix
from ops_pipeline.postgres.connection import Connection, scalar
from ops_pipeline.storage import location
from tests.integration.archive.removal import POLICY, deletion, remove, source

NEVER = 10_000
EVERY = [pytest.param(1, marks=pytest.mark.prove), 4]


@pytest.mark.parametrize("every", EVERY)
def test_killed_between_any_two_steps_each_row_is_in_table_or_archive_once(
    url: str, events: Connection, folder: Path, every: int
) -> None:
    events.execute("CREATE TABLE kept AS TABLE events")
    with _killed_worker(url, folder) as end_at:
        for last in itertools.count(0, every):
            ended = end_at(last)
            _each_once(events, folder)
            assert end_at(NEVER) == 0
            _each_once(events, folder)
            assert scalar(events, "SELECT count(*) FROM events") == 400
            assert scalar(events, "SELECT count(*) FROM ops.archives WHERE stored_at IS NULL") == 0
            assert not list(folder.rglob(".*")), f"killed after step {last}, a temporary file is left"
            if ended == 0:
                break
            assert ended == -signal.SIGKILL
            _begin_again(events, folder)
    assert last > 30  # the number of steps, at each of which a worker was killed


def test_killed_repeatedly_each_row_is_in_table_or_archive_once(
    url: str, events: Connection, folder: Path
) -> None:
    with _killed_worker(url, folder) as end_at:
        for last in (
            3,
            9,
            16,
            20,
            6,
            9,
            3,
        ):  # while writing, twice; after the commit; then during the recovery
            assert end_at(last) == -signal.SIGKILL
            _each_once(events, folder)
        assert end_at(NEVER) == 0
    _each_once(events, folder)
    assert scalar(events, "SELECT count(*) FROM events") == 400


def test_the_next_run_finds_out_whether_an_unanswered_commit_happened(
    url: str, events: Connection, folder: Path
) -> None:
    given = source(events)
    archive = Archive(location.storage(str(folder)), events)
    session = ArrowSession(url, POLICY, "test")
    with pytest.raises(CommitUnknownError), session.transaction():  # noqa: PT012 - its end is what raises
        with session.query(deletion(given)) as reader:
            parts = archive.write(reader, given)
        session.execute(archive.insert_statement(parts))
        events.execute("SELECT pg_terminate_backend(%s)", [session.pid])
    session.close()

    with ArrowSession(url, POLICY, "next"):
        left = archive.reconcile(events, POLICY, "public", "events")

    assert (left.published, left.deleted) == (0, len(parts))
    assert not [each for each in folder.rglob("*") if each.is_file()]
    _each_once(events, folder)


def test_an_interrupt_right_after_the_commit_deletes_no_file(
    url: str, events: Connection, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = source(events)
    archive = Archive(location.storage(str(folder)), events)
    execute = ArrowSession.execute

    def interrupted(self: ArrowSession, statement: str) -> int:
        touched = execute(self, statement)
        if statement == "COMMIT":
            raise KeyboardInterrupt
        return touched

    monkeypatch.setattr(ArrowSession, "execute", interrupted)
    with ArrowSession(url, POLICY, "test") as session:
        with pytest.raises(KeyboardInterrupt), session.transaction():  # noqa: PT012 - its end is what raises
            with session.query(deletion(given)) as reader:
                parts = archive.write(reader, given)
            session.execute(archive.insert_statement(parts))
        left = archive.discard(parts)

    _each_once(events, folder)
    assert left == []
    assert scalar(events, "SELECT count(*) FROM events") == 0


def test_a_storage_that_fails_after_the_commit_loses_nothing(
    url: str, events: Connection, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken:
        broken.setattr("ops_pipeline.storage.filesystem.Path.replace", _no_permission)
        with pytest.raises(ArchiveError, match=r"Permission denied.*are safe in the archive"):
            remove(url, events, folder)
    assert scalar(events, "SELECT count(*) FROM events") == 0
    _each_once(events, folder)

    remove(url, events, folder)

    assert scalar(events, "SELECT count(*) FROM ops.archives WHERE stored_at IS NULL") == 0
    _each_once(events, folder)


def test_a_committed_file_that_is_missing_is_an_error(url: str, events: Connection, folder: Path) -> None:
    remove(url, events, folder, condition="target.id <= 240")
    events.execute("UPDATE ops.archives SET stored_at = NULL")
    (lost,) = folder.rglob("*.parquet")
    lost.unlink()

    path = lost.relative_to(folder).as_posix()
    said = (
        rf"is missing.*240 rows of public.events.*Put the file back.*opsctl archive write-off {path} --reason"
    )
    with pytest.raises(ArchiveError, match=said):
        remove(url, events, folder)

    assert scalar(events, "SELECT count(*) FROM events") == 760


@pytest.mark.parametrize("ending", [".unfinished", ".parquet"])
def test_files_of_a_killed_run_of_an_earlier_version_are_cleaned_up(
    url: str, events: Connection, folder: Path, ending: str
) -> None:
    """Names of unfinished files ended in .parquet at that time."""
    prefix = temporary_prefix(str(scalar(events, "SELECT id FROM ops.archive_origin")), POLICY)
    (part, *_) = remove(url, events, folder, condition="target.id <= 240")
    unpublished = f"{part.path.rpartition('/')[0]}/{prefix}part-7-1-aaaaaaaa{ending}"
    (folder / part.path).rename(folder / unpublished)
    events.execute("UPDATE ops.archives SET stored_at = NULL, temporary_path = %s", [unpublished])
    uncommitted = folder / "events" / "day=2026-03-02" / f"{prefix}part-7-2-bbbbbbbb{ending}"
    uncommitted.parent.mkdir(parents=True)
    uncommitted.write_bytes(b"rows that are still in the table")

    remove(url, events, folder)

    assert not uncommitted.exists()
    assert (folder / part.path).exists()
    _each_once(events, folder)


@pytest.mark.parametrize("ending", [".unfinished", ".parquet"])
def test_unfinished_files_of_others_are_left_alone(
    url: str, events: Connection, folder: Path, ending: str
) -> None:
    theirs = folder / "events" / "day=2026-03-01" / f".0123456789ab-part-7-1-aaaaaaaa{ending}"
    theirs.parent.mkdir(parents=True)
    theirs.write_bytes(b"another database's, or another policy's, at work")

    remove(url, events, folder)

    assert theirs.exists()


def _no_permission(*_: object) -> None:
    raise PermissionError(13, "Permission denied")


@contextmanager
def _killed_worker(url: str, folder: Path) -> Iterator[Callable[[int], int]]:
    command = [sys.executable, "-m", "tests.integration.archive.killed_worker", url, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        told, answers = process.stdin, process.stdout

        def end_at(last: int) -> int:
            told.write(f"{last}\n")
            told.flush()
            return int(answers.readline())

        yield end_at
        told.close()


def _begin_again(connection: Connection, folder: Path) -> None:
    connection.execute("TRUNCATE events")
    connection.execute("INSERT INTO events OVERRIDING SYSTEM VALUE TABLE kept")
    connection.execute("DELETE FROM ops.archives")
    shutil.rmtree(folder)


def _each_once(connection: Connection, folder: Path) -> None:
    # The session of a killed worker may still be active on the server, until its lock is released.
    connection.execute("SET lock_timeout = '20s'")
    with connection.transaction():
        connection.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"ops: worker of {POLICY}"]
        )
        live = [number for (number,) in connection.execute("SELECT id FROM events")]
        committed = connection.execute("SELECT path, temporary_path FROM ops.archives").fetchall()
    archived = [number for path, temporary in committed for number in _ids(folder, path, temporary)]
    assert Counter(live + archived) == Counter(range(1, 1001))
    seen = {each.relative_to(folder).as_posix() for each in folder.rglob("part-*.parquet")}
    assert seen <= {path for path, _ in committed}, "a reader sees rows whose removal is not committed"


def _ids(folder: Path, path: str, temporary: str) -> list[int]:
    there = folder / path if (folder / path).exists() else folder / temporary
    numbers: list[int] = pq.read_table(there, partitioning=None)["id"].to_pylist()
    return numbers

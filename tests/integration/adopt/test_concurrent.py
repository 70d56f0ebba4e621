"""An adoption beside concurrent writers, and killed at any moment, keeps each row once, as last written."""

# ruff: noqa: S608 - statements of the test itself

import random
import subprocess
import sys
import threading
import time
from contextlib import ExitStack

import psycopg
import pytest

from ops_pipeline.partitions.adopt.adopt import adopt_table
from ops_pipeline.partitions.adopt.copy import CopySizes
from ops_pipeline.postgres import locks
from ops_pipeline.postgres.connection import Connection, connect, scalar
from ops_pipeline.postgres.relation import TableName, find_relation
from ops_pipeline.throttle.batch_size import Sizes
from tests.eventually import eventually
from tests.integration.adopt.ledger import Book, fill, read, writing
from tests.integration.partitions.sessions import working

WAITS_FOR_THE_LEDGER = "SELECT count(*) FROM pg_locks WHERE relation = 'ledger'::regclass AND NOT granted"
LEVELS = (
    psycopg.IsolationLevel.READ_COMMITTED,
    psycopg.IsolationLevel.READ_COMMITTED,
    psycopg.IsolationLevel.REPEATABLE_READ,
    psycopg.IsolationLevel.SERIALIZABLE,
)


def test_no_change_of_a_concurrent_session_is_lost(
    plain: Connection, plain_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "TRIES", 50)
    books: list[Book] = [fill(plain, 5_000)]
    with working(plain_url) as sessions:
        for owner, level in enumerate(LEVELS, start=1):
            books.append({})
            sessions.start(writing(books[-1], owner, level))
        _until_all_have_written(sessions.done)
        before = dict(sessions.done)
        ledger = find_relation(plain, TableName("public", "ledger"))
        adopt_table(plain, ledger, column="at", sizes=CopySizes(copied=Sizes(200, 200, 200)))
        at_the_swap = dict(sessions.done)
        _until_all_have_written(sessions.done, beyond=at_the_swap)

    assert sessions.failed == []
    assert all(at_the_swap[name] > before[name] for name in before)
    assert read(plain) == {number: row for book in books for number, row in book.items()}
    assert scalar(plain, "SELECT relkind::text FROM pg_class WHERE oid = 'ledger'::regclass") == "p"
    assert scalar(plain, "SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'ops%%'", []) == 0


def test_changes_made_during_the_wait_for_the_lock_are_applied_in_one_step(
    plain: Connection, plain_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the batch size was before: between two changes of a row the row may be there twice."""
    monkeypatch.setattr(locks, "TRIES", 50)
    fill(plain, 100)
    small = CopySizes(changes=1)

    def change(report: str) -> None:
        if "rows compared" not in report:
            return
        writer.execute("UPDATE ledger SET at = at - interval '1 hour' WHERE id = 7")
        # The state that an earlier round leaves if it read the row at this point.
        writer.execute("DELETE FROM ledger_adopting WHERE id = 7")
        writer.execute("INSERT INTO ledger_adopting SELECT * FROM ledger WHERE id = 7")
        writer.execute("UPDATE ledger SET at = at - interval '1 hour' WHERE id = 7")
        committing.start()

    def commit() -> None:
        eventually(lambda: scalar(observer, WAITS_FOR_THE_LEDGER))
        writer.commit()

    with psycopg.connect(plain_url) as writer, connect(plain_url, "observer") as observer:
        committing = threading.Thread(target=commit)
        ledger = find_relation(plain, TableName("public", "ledger"))
        adopt_table(plain, ledger, column="at", sizes=small, report=change)
        committing.join()

    differing = "(TABLE ledger EXCEPT TABLE ledger_before_adoption)"
    assert len(read(plain)) == 100
    assert scalar(plain, f"SELECT count(*) FROM {differing} AS d") == 0


@pytest.mark.parametrize("seed", range(2))
def test_an_adoption_killed_at_any_moment_continues(plain: Connection, plain_url: str, seed: int) -> None:
    _killed_again_and_again(plain, plain_url, kills=4, seed=seed)


@pytest.mark.prove
@pytest.mark.parametrize("seed", range(100, 110))
def test_an_adoption_killed_a_hundred_times_continues(plain: Connection, plain_url: str, seed: int) -> None:
    """Ten adoptions, each killed ten times."""
    _killed_again_and_again(plain, plain_url, kills=10, seed=seed)


def _killed_again_and_again(plain: Connection, url: str, *, kills: int, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - the moment of a kill is no secret
    books: list[Book] = [fill(plain, 4_000)]
    with ExitStack() as after:
        sessions = after.enter_context(working(url))
        for owner, level in enumerate(LEVELS[1:3], start=1):
            books.append({})
            sessions.start(writing(books[-1], owner, level))
        command = [sys.executable, "-m", "tests.integration.adopt.adopting_worker", url]
        states = set[str]()
        for _ in range(kills):
            worker = subprocess.Popen(command, stderr=subprocess.DEVNULL)
            _until_it_works(plain, worker)
            time.sleep(chance.uniform(0, 0.4))
            worker.kill()
            worker.wait()
            states.add(
                str(scalar(plain, "SELECT coalesce((SELECT max(state) FROM ops.adoptions), 'nothing')"))
            )
        while (last := subprocess.run(command, capture_output=True, text=True, check=False)).returncode:
            assert "LockedError" in last.stderr, last.stderr
        _until_all_have_written(sessions.done, beyond=dict(sessions.done))

    assert sessions.failed == []
    assert read(plain) == {number: row for book in books for number, row in book.items()}
    assert states <= {"nothing", "preparing", "copying", "swapped"}
    assert scalar(plain, "SELECT relkind::text FROM pg_class WHERE oid = 'ledger'::regclass") == "p"
    assert scalar(plain, "SELECT array_agg(state) FROM ops.adoptions") == ["swapped"]
    left = "SELECT count(*) FROM pg_class WHERE relname ~ '^(adoption_.*_(changes|shape)|ledger_adopting)'"
    assert scalar(plain, left) == 0


def _until_it_works(plain: Connection, worker: subprocess.Popen[bytes]) -> None:
    there = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'adopting worker'"
    eventually(lambda: worker.poll() is not None or scalar(plain, there))


def _until_all_have_written(done: dict[str, int], beyond: dict[str, int] | None = None) -> None:
    reached = beyond or {}
    eventually(
        lambda: len(done) >= 2 and all(done[name] > reached.get(name, 0) + 5 for name in list(done)),
        otherwise=lambda: f"the sessions do not come on: {dict(done)}",
    )

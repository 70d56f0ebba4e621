"""While others write, and at whatever moment the adopting process dies: each row once, as last written."""

import random
import subprocess
import sys
import time
from contextlib import ExitStack

import psycopg
import pytest

from ops_pipeline.partitions.adopt import copy
from ops_pipeline.partitions.adopt.adopt import adopt_table
from ops_pipeline.postgres import locks
from ops_pipeline.postgres.connection import Connection, scalar
from ops_pipeline.postgres.relation import TableName, find_relation
from ops_pipeline.throttle.batch_size import Sizes
from tests.integration.adopt.ledger import Book, fill, read, writing
from tests.integration.partitions.sessions import working

LEVELS = (
    psycopg.IsolationLevel.READ_COMMITTED,
    psycopg.IsolationLevel.READ_COMMITTED,
    psycopg.IsolationLevel.REPEATABLE_READ,
    psycopg.IsolationLevel.SERIALIZABLE,
)


def test_what_every_session_wrote_is_there_afterwards(
    plain: Connection, plain_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copy, "SIZES", Sizes(200, 200, 200))
    monkeypatch.setattr(locks, "TRIES", 50)
    books: list[Book] = [fill(plain, 5_000)]
    with working(plain_url) as sessions:
        for owner, level in enumerate(LEVELS, start=1):
            books.append({})
            sessions.start(writing(books[-1], owner, level))
        _until_all_have_written(sessions.done)
        before = dict(sessions.done)
        adopt_table(plain, find_relation(plain, TableName("public", "ledger")), column="at")
        at_the_swap = dict(sessions.done)
        _until_all_have_written(sessions.done, beyond=at_the_swap)

    assert sessions.failed == []
    assert all(at_the_swap[name] > before[name] for name in before)
    assert read(plain) == {number: row for book in books for number, row in book.items()}
    assert scalar(plain, "SELECT relkind::text FROM pg_class WHERE oid = 'ledger'::regclass") == "p"
    assert scalar(plain, "SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'ops%%'", []) == 0


@pytest.mark.parametrize("seed", range(2))
def test_killed_at_any_moment_it_goes_on(plain: Connection, plain_url: str, seed: int) -> None:
    _killed_again_and_again(plain, plain_url, kills=4, seed=seed)


@pytest.mark.prove
@pytest.mark.parametrize("seed", range(100, 110))
def test_killed_a_hundred_times_it_goes_on(plain: Connection, plain_url: str, seed: int) -> None:
    """Ten adoptions, each killed ten times."""
    _killed_again_and_again(plain, plain_url, kills=10, seed=seed)


def _killed_again_and_again(plain: Connection, url: str, *, kills: int, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - a moment to die at is no secret
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
    while worker.poll() is None and not scalar(plain, there):
        time.sleep(0.01)


def _until_all_have_written(done: dict[str, int], beyond: dict[str, int] | None = None) -> None:
    deadline = time.monotonic() + 30
    reached = beyond or {}
    while time.monotonic() < deadline:
        if len(done) >= 2 and all(done[name] > reached.get(name, 0) + 5 for name in list(done)):
            return
        time.sleep(0.05)
    raise AssertionError(f"the sessions do not come on: {dict(done)}")

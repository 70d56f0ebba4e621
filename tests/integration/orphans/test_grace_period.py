"""A child that is committed before its parent is never deleted."""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta

import psycopg
import pytest

from ops_pipeline.maintenance.kinds import carry_out
from ops_pipeline.maintenance.orphans import grace_period
from ops_pipeline.maintenance.orphans.plan import plan_orphans
from ops_pipeline.maintenance.orphans.policy import Orphans
from ops_pipeline.maintenance.plan import Planning
from ops_pipeline.postgres.connection import Connection, connect, scalar
from tests.eventually import eventually
from tests.integration.orphans.conftest import an_hour_later

ORPHAN = "00000000-0000-0000-0000-00000000000a"


@pytest.fixture
def memories(application: Connection) -> Connection:
    application.execute("CREATE INDEX ON memories (session_id)")
    application.execute("INSERT INTO memories (session_id) SELECT id FROM sessions")
    application.execute("INSERT INTO memories (session_id) VALUES (%s)", [ORPHAN])
    return application


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grace_period, "PATIENCE", timedelta(seconds=0.3))


def _orphans(connection: Connection) -> int:
    return int(scalar(connection, "SELECT count(*) FROM memories WHERE session_id = %s", [ORPHAN]))


def test_an_orphan_is_deleted_only_after_the_grace_period(memories: Connection, patient: Orphans) -> None:
    first = carry_out(memories, patient)
    planned = plan_orphans(Planning(memories, 60), patient)
    again = carry_out(memories, patient)
    assert (planned.rows.eligible, planned.within_grace_period) == (1, 1)
    assert "1 orphan is within the grace period of 1 hour" in "; ".join(planned.remarks())
    assert (first.outcome, first.removed, first.remaining, first.details["within_grace_period"]) == (
        "done",
        0,
        0,
        1,
    )
    assert "grace period of 1 hour ends at" in first.details["waits_for"]
    assert (again.removed, again.details["within_grace_period"]) == (0, 1), (
        "what was seen an hour ago counts, and nothing else"
    )
    an_hour_later(memories)
    assert plan_orphans(Planning(memories, 60), patient).within_grace_period == 0

    result = carry_out(memories, patient)

    assert (result.removed, result.remaining, result.details["within_grace_period"]) == (1, 0, 0)


@pytest.mark.parametrize("indexed", [True, False])
def test_a_parent_that_arrives_within_the_grace_period_keeps_its_children(
    memories: Connection, patient: Orphans, indexed: bool
) -> None:
    if not indexed:
        memories.execute("DROP INDEX memories_session_id_idx")
    carry_out(memories, patient)
    memories.execute("INSERT INTO sessions (id) VALUES (%s)", [ORPHAN])
    an_hour_later(memories)

    assert (carry_out(memories, patient).removed, _orphans(memories)) == (0, 1)


def test_a_new_child_of_a_long_missing_parent_has_its_own_grace_period(
    memories: Connection, patient: Orphans
) -> None:
    carry_out(memories, patient)
    an_hour_later(memories)
    memories.execute("INSERT INTO memories (session_id) VALUES (%s)", [ORPHAN])

    assert (carry_out(memories, patient).removed, _orphans(memories)) == (1, 1)


def test_an_orphan_that_changed_since_it_was_found_is_deleted_after_another_grace_period(
    memories: Connection, patient: Orphans
) -> None:
    carry_out(memories, patient)
    memories.execute("UPDATE memories SET content = 'elsewhere' WHERE session_id = %s", [ORPHAN])
    an_hour_later(memories)
    assert carry_out(memories, patient).removed == 0, "it was changed within the grace period"

    carry_out(memories, patient)
    memories.execute("UPDATE memories SET content = 'again' WHERE session_id = %s", [ORPHAN])
    carry_out(memories, patient)  # records that the change is committed
    an_hour_later(memories)
    result = carry_out(memories, patient)

    assert (result.removed, result.remaining, _orphans(memories)) == (1, 0, 0)


def test_a_row_that_reuses_the_ctid_of_an_orphan_has_its_own_grace_period(
    memories: Connection, patient: Orphans
) -> None:
    where = "SELECT ctid::text FROM memories WHERE session_id = %s"
    carry_out(memories, patient)
    place = scalar(memories, where, [ORPHAN])
    memories.execute("DELETE FROM memories WHERE session_id = %s", [ORPHAN])
    memories.execute("VACUUM (INDEX_CLEANUP ON) memories")
    another = "00000000-0000-0000-0000-00000000000b"
    memories.execute("INSERT INTO memories (session_id) VALUES (%s)", [another])
    assert scalar(memories, where, [another]) == place
    carry_out(memories, patient)  # records that the row was written
    an_hour_later(memories)

    result = carry_out(memories, patient)

    assert (result.removed, result.details["within_grace_period"]) == (0, 1), (
        "the new row has only just been found without its parent"
    )
    assert scalar(memories, where, [another]) == place


def test_a_child_that_gets_a_parent_during_the_wait_for_its_lock_is_kept(
    memories: Connection, patient: Orphans, url: str
) -> None:
    # PostgreSQL rechecks a row that changes during a DELETE, but not the subquery for its parent.
    carry_out(memories, patient)
    an_hour_later(memories)
    with connect(url, "application") as other:
        other.execute("BEGIN")
        other.execute(
            "UPDATE memories SET session_id = (SELECT id FROM sessions LIMIT 1) WHERE session_id = %s",
            [ORPHAN],
        )
        threading.Timer(0.03, other.execute, ["COMMIT"]).start()
        result = carry_out(memories, patient)
        eventually(lambda: other.info.transaction_status == psycopg.pq.TransactionStatus.IDLE)

    assert result.removed == 0
    assert scalar(memories, "SELECT count(*) FROM memories") == 6001


def test_an_open_transaction_is_waited_for_and_named(
    memories: Connection, orphans: Orphans, url: str, impatient: None
) -> None:
    with connect(url, "importer") as other:
        other.execute("BEGIN")
        other.execute("SELECT 1")

        held_up = carry_out(memories, orphans)

        assert (held_up.removed, held_up.remaining, _orphans(memories)) == (0, 1, 1)
        assert held_up.outcome == "stopped", "a run that leaves orphans whose grace is over is not done"
        assert "1 orphaned row of public.memories remains: a transaction that was" in held_up.stopped_reason
        assert f"importer (pid {other.info.backend_pid})" in held_up.stopped_reason
        assert f"importer (pid {other.info.backend_pid})" in held_up.details["waits_for"]
        other.execute("INSERT INTO sessions (id) VALUES (%s)", [ORPHAN])
        other.execute("COMMIT")

    assert (carry_out(memories, orphans).removed, _orphans(memories)) == (0, 1)


def test_transaction_ids_are_told_apart_after_wraparound(connection: Connection) -> None:
    older = "SELECT ((age(%s::text::xid8::xid)::bigint - age(%s::text::xid)) & 4294967295) >= 1073741824"
    for horizon, written, expected in (
        (1000, 999, True),
        (1000, 1000, False),
        (1000, 1_000_000, False),
        (2**32 + 10, 2**32 - 5, True),  # before the last wraparound
        (2**32 - 5, 2**32 + 10, False),  # just after it
        (2**33 + 500, 2, True),  # frozen
        (2**31, 2**31 + 2**29, False),
    ):
        row = connection.execute(older, [str(horizon), str(written % 2**32)]).fetchone()
        assert row == (expected,), (horizon, written)


@pytest.fixture
def writer(url: str, memories: Connection) -> Iterator[Callable[[], int]]:
    """Commits children and, in other transactions a little later, their parents."""
    stop, written = threading.Event(), [0]

    def write() -> None:
        with connect(url, "children") as children, connect(url, "parents") as parents:
            while not stop.is_set():
                (key,) = children.execute("SELECT gen_random_uuid()").fetchone() or ()
                if written[0] % 2:
                    parents.execute("BEGIN")
                    parents.execute("INSERT INTO sessions (id) VALUES (%s)", [key])
                children.execute("INSERT INTO memories (session_id, content) VALUES (%s, 'live')", [key])
                stop.wait(0.02)
                if written[0] % 2:
                    parents.execute("COMMIT")
                else:
                    parents.execute("INSERT INTO sessions (id) VALUES (%s)", [key])
                written[0] += 1

    thread = threading.Thread(target=write)
    thread.start()

    def ended() -> int:
        stop.set()
        thread.join()
        return written[0]

    yield ended
    ended()


def _sweep_beside(connection: Connection, policy: Orphans, seconds: float) -> int:
    removed, until = 0, time.monotonic() + seconds
    while time.monotonic() < until:
        connection.execute(
            "INSERT INTO memories (session_id) SELECT gen_random_uuid() FROM generate_series(1, 50)"
        )
        removed += carry_out(connection, policy).removed
    return removed


@pytest.mark.parametrize(
    "seconds", [pytest.param(4, id="small"), pytest.param(180, id="full", marks=pytest.mark.prove)]
)
def test_no_child_is_lost_to_sweeps_beside_a_writer_that_commits_children_first(
    memories: Connection,
    orphans: Orphans,
    writer: Callable[[], int],
    small_batches: None,
    seconds: float,
) -> None:
    policy = replace(orphans, grace_period=timedelta(seconds=1))

    removed = _sweep_beside(memories, policy, seconds)

    written = writer()
    assert written > 20
    assert removed > 50
    assert scalar(memories, "SELECT count(*) FROM memories WHERE content = 'live'") == written

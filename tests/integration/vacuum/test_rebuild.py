"""Bloated B-trees are rebuilt where the policy says so; leftovers of an interrupted rebuild are dropped."""

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, LiteralString

import psycopg
import pytest

from ops_pipeline.maintenance.kinds import carry_out
from ops_pipeline.maintenance.plan import Planning
from ops_pipeline.maintenance.vacuum import page_layout, rebuild
from ops_pipeline.maintenance.vacuum.plan import PlannedIndex, plan_vacuum
from ops_pipeline.maintenance.vacuum.policy import Reindex, Vacuum
from ops_pipeline.policies.model import Database
from ops_pipeline.postgres import disk
from ops_pipeline.postgres.connection import Connection, scalar
from tests.eventually import eventually

POLICY = """
version: 1
databases:
  app:
    url: ${OPS_DATABASE_URL}
    vacuum: {tables: [items], reindex: {min_bloat: 0.4, min_size: 200 kB}}
"""
FILL = """
CREATE FUNCTION gated(note text) RETURNS text IMMUTABLE LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_advisory_lock_shared(4711), pg_advisory_unlock_shared(4711);
  RETURN note;
END $$;
CREATE TABLE items (id int PRIMARY KEY, note text) WITH (autovacuum_enabled = false);
INSERT INTO items SELECT n, md5(n::text) FROM generate_series(1, 20000) n;
"""
"""While a session holds the gate's lock, the build of an index on `gated(note)` stands still."""


@pytest.fixture
def policy(read: Callable[..., Database]) -> Vacuum:
    (found,) = read(POLICY).policies
    assert isinstance(found, Vacuum)
    return found


@pytest.fixture
def items(connection: Connection) -> Connection:
    """20,000 rows with two indexes, three quarters of which are then deleted here and there."""
    connection.execute(FILL)
    return _thinned_out(connection)


@pytest.fixture
def gated(connection: Connection) -> Connection:
    """The same, vacuumed, with an index that cannot be built while a session holds the gate."""
    connection.execute(FILL)
    connection.execute("CREATE INDEX items_gated ON items (gated(note))")
    _thinned_out(connection)
    connection.execute("VACUUM ANALYZE items")
    return connection


def _thinned_out(connection: Connection) -> Connection:
    connection.execute("CREATE INDEX items_note ON items (note)")
    connection.execute("SELECT pg_stat_force_next_flush()")
    connection.execute("ANALYZE items")
    connection.execute("DELETE FROM items WHERE mod(id, 4) > 0; SET lock_timeout = '500ms'")
    connection.execute("SELECT pg_stat_force_next_flush()")
    return connection


def _indexes(connection: Connection) -> dict[str, tuple[bool, int]]:
    return {
        name: (valid, size)
        for name, valid, size in connection.execute(
            "SELECT indexrelid::regclass::text, indisvalid, pg_relation_size(indexrelid)"
            " FROM pg_index WHERE indrelid = 'items'::regclass"
        )
    }


def _entry(result: Any, index: str) -> dict[str, Any]:
    (found,) = [each for each in result.details["indexes"] if each["index"] == index]
    return dict(found)


@pytest.mark.parametrize("extension", [False, True])
def test_bloated_indexes_are_rebuilt_and_the_effect_is_reported(
    items: Connection, policy: Vacuum, extension: bool
) -> None:
    if extension:
        items.execute("CREATE EXTENSION pgstattuple")
    before = _indexes(items)
    told: list[str] = []

    result = carry_out(items, policy, report=told.append)

    after = _indexes(items)
    assert result.outcome == "done"
    assert {each["index"] for each in result.details["indexes"]} == {"public.items_note", "public.items_pkey"}
    note = _entry(result, "public.items_note")
    assert (note["action"], note["outcome"]) == ("rebuild", "done")
    assert (note["bytes_before"], note["bytes_after"]) == (before["items_note"][1], after["items_note"][1])
    assert note["bytes_after"] < 0.4 * note["bytes_before"]
    assert ("by pgstattuple" in note["reason"]) is extension
    assert all(valid for valid, _ in after.values())
    (gain,) = result.details["tables"]
    assert gain["index_bytes_after"] == sum(size for _, size in after.values())
    assert gain["index_bloat_after"] < 0.2 * gain["index_bloat_before"]
    assert scalar(items, "SHOW lock_timeout") == "500ms"
    assert any("REINDEX of public.items_note begins; it may need" in line for line in told)
    assert carry_out(items, policy).details["indexes"] == []


def test_without_reindex_in_the_policy_no_index_is_rebuilt(items: Connection, policy: Vacuum) -> None:
    before = _indexes(items)

    result = carry_out(items, replace(policy, reindex=None))

    assert result.details["indexes"] == []
    assert _indexes(items) == before


def test_an_index_with_misleading_statistics_is_rebuilt_only_once(
    items: Connection, policy: Vacuum, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = page_layout.btree_bytes
    monkeypatch.setattr(page_layout, "btree_bytes", lambda *args, **given: (honest(*args, **given) or 0) // 4)
    items.execute("VACUUM FULL items")
    items.execute("VACUUM ANALYZE items")

    first, second = carry_out(items, policy), carry_out(items, policy)

    assert [each["index"] for each in first.details["indexes"]] == ["public.items_note"]
    assert second.details["indexes"] == []


def test_the_plan_says_what_would_be_done_and_what_the_policy_does_not_allow(
    items: Connection, policy: Vacuum, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ops_pipeline.maintenance.vacuum.plan.USUAL", Reindex(0.4, 200_000))
    items.execute("SELECT pg_stat_force_next_flush()")

    def note(of: Vacuum) -> PlannedIndex:
        planned = plan_vacuum(Planning(items, 5), of)
        (found,) = [each for each in planned.indexes if each.index == "public.items_note"]
        return found

    assert note(policy).action == "rebuild"
    assert "may need" in note(policy).reason
    without = note(replace(policy, reindex=None))
    assert (without.action, "the policy has no `reindex`" in without.reason) == ("leave", True)


def test_no_rebuild_begins_while_the_database_is_throttled(
    items: Connection, policy: Vacuum, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ops_pipeline.throttle.limits.PATIENCE_SECONDS", 0.2)
    busy = replace(policy, throttle=replace(policy.throttle, wal_rate=None, active_sessions=0))
    with _statement(url, "SELECT pg_sleep(30)"):
        result = carry_out(items, busy)

    assert result.outcome == "stopped"
    assert "because of active_sessions" in result.stopped_reason
    assert result.details["indexes"] == []
    assert result.details["tables"], "VACUUM itself has a pace of its own"


def test_no_rebuild_begins_without_disk_space(
    items: Connection, policy: Vacuum, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk, "free", lambda *_: 10_000)
    before = _indexes(items)

    result = carry_out(items, policy)

    assert result.outcome == "stopped"
    assert "MB of disk, and 0 MB are free" in _entry(result, "public.items_note")["problem"]
    assert "public.items_note: the rebuild may need" in result.stopped_reason
    assert _indexes(items).keys() == before.keys()


def test_no_rebuild_begins_while_another_index_is_built(items: Connection, policy: Vacuum, url: str) -> None:
    items.execute("CREATE TABLE others AS SELECT n::text AS note FROM generate_series(1, 10) n")
    with _gate(url), _statement(url, "CREATE INDEX ON others (gated(note))") as pid:
        _until(items, "SELECT count(*) = 1 FROM pg_stat_progress_create_index")
        result = carry_out(items, policy)

    assert f"pid {pid} is building an index now" in _entry(result, "public.items_note")["problem"]
    assert all(valid for valid, _ in _indexes(items).values())


def test_a_writing_transaction_that_blocks_a_rebuild_is_named_and_no_index_is_left_over(
    items: Connection, policy: Vacuum, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rebuild, "PATIENCE", "300ms")
    items.execute("VACUUM ANALYZE items")
    before = _indexes(items)
    with psycopg.connect(url, application_name="an import") as other:
        other.execute("INSERT INTO items VALUES (0)")
        result = carry_out(items, policy)
        pid = other.info.backend_pid
        other.rollback()

    assert result.outcome == "stopped"
    named = f"it waited 300ms for pid {pid} (postgres an import idle in transaction)"
    assert _entry(result, "public.items_note")["problem"] == named
    assert _indexes(items).keys() - before.keys() <= {"items_note_ccnew", "items_pkey_ccnew"}
    assert carry_out(items, policy).outcome == "done"
    assert _indexes(items).keys() == before.keys()


def test_a_reading_transaction_only_delays_the_drop_of_the_old_index(
    items: Connection, policy: Vacuum, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rebuild, "PATIENCE", "300ms")
    items.execute("VACUUM ANALYZE items")
    before = _indexes(items)
    with psycopg.connect(url, application_name="a report") as other:
        other.execute("SELECT count(*) FROM items")
        result = carry_out(items, policy)
        pid = other.info.backend_pid

    note, old = _entry(result, "public.items_note"), _entry(result, "public.items_note_ccold")
    assert (note["outcome"], note["bytes_after"] < 0.4 * note["bytes_before"]) == ("done", True)
    assert (old["action"], old["outcome"]) == ("drop", "skipped")
    assert f"it waited 300ms for pid {pid} (postgres a report idle in transaction)" in old["problem"]
    assert "public.items_note_ccold: it waited 300ms" in result.stopped_reason
    assert carry_out(items, policy).outcome == "done"
    assert _indexes(items).keys() == before.keys()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_leftovers_of_an_interrupted_rebuild_are_dropped_and_the_index_is_rebuilt(
    gated: Connection, policy: Vacuum, url: str, tmp_path: Path, how: signal.Signals
) -> None:
    items = gated
    worker = [sys.executable, "-m", "tests.integration.stopped_worker", url, str(tmp_path / "policies.yaml")]
    with _gate(url):
        process = subprocess.Popen(worker, cwd=Path(__file__).parents[3], stderr=subprocess.DEVNULL)
        try:
            _until(items, BUILDING)
            process.send_signal(how)
            process.wait(30)
            _until(items, "SELECT count(*) = 0 FROM pg_stat_progress_create_index")
        finally:
            process.kill()
    (leftover,) = [name for name, (valid, _) in _indexes(items).items() if not valid]
    assert leftover == "items_gated_ccnew"

    planned = plan_vacuum(Planning(items, 5), policy)
    result = carry_out(items, policy)

    (of_leftover,) = [each for each in planned.indexes if each.action == "drop"]
    assert of_leftover.index == "public.items_gated_ccnew"
    assert "left by an interrupted REINDEX CONCURRENTLY of public.items_gated" in of_leftover.reason
    dropped = _entry(result, "public.items_gated_ccnew")
    assert (dropped["action"], dropped["outcome"], dropped["bytes_after"]) == ("drop", "done", 0)
    assert result.outcome == "done"
    assert _indexes(items).keys() == {"items_pkey", "items_note", "items_gated"}
    assert all(valid for valid, _ in _indexes(items).values())


def test_a_valid_index_with_the_name_of_a_leftover_is_kept(items: Connection, policy: Vacuum) -> None:
    items.execute("CREATE INDEX items_note_ccnew ON items (note); CREATE INDEX items_ccold1 ON items (note)")

    result = carry_out(items, policy)

    assert {"items_note_ccnew", "items_ccold1"} <= _indexes(items).keys()
    assert all(each["action"] == "rebuild" for each in result.details["indexes"])


def test_an_invalid_index_without_a_valid_twin_is_kept(items: Connection, policy: Vacuum) -> None:
    items.execute("CREATE INDEX wrong_ccnew ON items (length(note), id)")
    items.execute("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'wrong_ccnew'::regclass")

    planned = plan_vacuum(Planning(items, 5), policy)
    result = carry_out(items, policy)

    (left,) = [each for each in planned.indexes if each.index == "public.wrong_ccnew"]
    assert (left.action, "not a copy of a valid index of its table" in left.reason) == ("leave", True)
    assert "public.wrong_ccnew" in result.stopped_reason
    assert "wrong_ccnew" in _indexes(items)


@pytest.mark.parametrize(
    "build",
    ["CREATE INDEX CONCURRENTLY items_gated_ccnew ON items (gated(note))",
     "REINDEX INDEX CONCURRENTLY items_gated"],
)  # fmt: skip
def test_an_index_that_another_session_builds_is_kept_and_becomes_valid(
    gated: Connection, policy: Vacuum, url: str, build: LiteralString
) -> None:
    items = gated
    policy = replace(policy, reindex=Reindex(0.95, 10**12))
    with _gate(url), _statement(url, build) as pid:
        _until(items, "SELECT NOT indisvalid FROM pg_index WHERE indexrelid::regclass::text ~ '_ccnew'")
        result = carry_out(items, policy)

        kept = _entry(result, "public.items_gated_ccnew")
        assert kept["outcome"] == "skipped"
        assert f"may be under construction: pid {pid}" in kept["problem"]
    _until(items, "SELECT bool_and(indisvalid) FROM pg_index WHERE indrelid = 'items'::regclass")


BUILDING: LiteralString = """
SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'advisory')
"""


@contextmanager
def _gate(url: str) -> Iterator[None]:
    with psycopg.connect(url, autocommit=True) as session:
        session.execute("SELECT pg_advisory_lock(4711)")
        yield


@contextmanager
def _statement(url: str, text: LiteralString) -> Iterator[int]:
    """A session that executes that statement. The server continues it after the client has disconnected."""
    session = psycopg.connect(url, autocommit=True)
    session.pgconn.send_query(text.encode())
    try:
        yield session.info.backend_pid
    finally:
        session.close()


def _until(connection: Connection, question: LiteralString) -> None:
    eventually(lambda: (connection.execute(question).fetchone() or [None])[0], otherwise=lambda: question)

"""Rows without a parent are deleted; rows with a parent, and rows without a reference, are kept."""

from collections.abc import Callable
from dataclasses import replace

import psycopg
import pytest

from ops_pipeline.maintenance import row_counter
from ops_pipeline.maintenance.kinds import carry_out
from ops_pipeline.maintenance.orphans.plan import plan_orphans
from ops_pipeline.maintenance.orphans.policy import Orphans
from ops_pipeline.maintenance.plan import Planning
from ops_pipeline.policies.model import Database, GuardLimits
from ops_pipeline.postgres.connection import Connection, scalar
from tests.integration.orphans.conftest import an_hour_later

FILL = """
INSERT INTO memories (session_id) SELECT id FROM sessions;
INSERT INTO memories (session_id) SELECT gen_random_uuid() FROM generate_series(1, 500);
INSERT INTO memories (session_id) SELECT NULL FROM generate_series(1, 70);
"""


@pytest.fixture
def memories(application: Connection) -> Connection:
    application.execute(FILL)
    return application


def test_orphans_are_deleted_and_a_null_reference_is_no_orphan(
    memories: Connection, orphans: Orphans
) -> None:
    result = carry_out(memories, orphans)

    assert (result.outcome, result.removed, result.remaining, result.scanned) == ("done", 500, 0, 6570)
    assert scalar(memories, "SELECT count(*) FROM memories WHERE session_id IS NULL") == 70
    assert scalar(memories, "SELECT count(*) FROM memories") == 6070


def test_a_run_says_how_many_bytes_it_has_deleted_as_its_plan_did(
    memories: Connection, orphans: Orphans
) -> None:
    planned = plan_orphans(Planning(memories, 60), orphans)

    result = carry_out(memories, orphans)

    assert planned.rows.bytes > 0
    assert result.bytes == pytest.approx(planned.rows.bytes, rel=0.01)


def test_the_guard_says_which_number_is_an_estimate(
    memories: Connection, read: Callable[..., Database], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(row_counter, "COUNT_EXACTLY_BYTES", 0)
    memories.execute("ANALYZE memories")
    policy = read(
        "version: 1\ndatabases: {app: {url: x, guard: {max_fraction: 0.01}, orphans:"
        " [{table: memories, column: session_id, references: sessions.id, grace_period: 0 seconds}]}}"
    ).policies[0]

    result = carry_out(memories, policy)

    assert result.outcome == "needs_approval"
    assert "would delete 500 of about 6,570 rows of memories" in result.stopped_reason


def test_a_null_key_of_a_parent_protects_no_orphan(
    memories: Connection, read: Callable[..., Database]
) -> None:
    # The trap of NOT IN: with one NULL in the list, no row is ever deleted.
    memories.execute("CREATE TABLE parents (ref uuid); INSERT INTO parents SELECT id FROM sessions")
    memories.execute("INSERT INTO parents VALUES (NULL)")
    policy = read(
        "version: 1\ndatabases: {app: {url: x, orphans:"
        " [{table: memories, column: session_id, references: parents.ref, grace_period: 0 seconds}]}}"
    ).policies[0]

    assert carry_out(memories, policy).removed == 500


def test_a_stopped_sweep_continues_and_finds_orphans_behind_its_position(
    memories: Connection, orphans: Orphans, small_batches: None
) -> None:
    batches = iter(range(1000))
    first = carry_out(memories, orphans, stop=lambda: "asked to" if next(batches) == 5 else None)
    assert first.outcome == "stopped"
    memories.execute(
        "INSERT INTO memories VALUES ('00000000-0000-0000-0000-000000000001', gen_random_uuid())"
    )

    rest = carry_out(memories, orphans)

    assert rest.outcome == "done"
    assert first.removed + rest.removed == 501
    assert rest.remaining == 0


def test_a_locked_orphan_keeps_no_other_row(memories: Connection, patient: Orphans, url: str) -> None:
    carry_out(memories, patient)
    an_hour_later(memories)
    with psycopg.connect(url) as other:
        other.execute(
            "SELECT FROM memories m WHERE session_id IS NOT NULL AND NOT EXISTS"
            " (SELECT FROM sessions s WHERE s.id = m.session_id) LIMIT 1 FOR UPDATE"
        )

        result = carry_out(memories, patient)

    assert (result.outcome, result.removed, result.remaining) == ("stopped", 499, 1)
    assert "1 orphaned row of public.memories remains" in result.stopped_reason


def test_the_guard_limits_what_a_run_deletes_in_all(
    application: Connection, orphans: Orphans, patient: Orphans
) -> None:
    """The rows that an earlier run marked, and those that the run finds itself, count together."""
    some = "INSERT INTO memories (session_id) SELECT gen_random_uuid() FROM generate_series(1, 40)"
    application.execute("INSERT INTO memories (session_id) SELECT id FROM sessions LIMIT 20")
    application.execute(some)
    assert carry_out(application, patient).details["within_grace_period"] == 40
    application.execute(some)
    an_hour_later(application)

    result = carry_out(application, replace(orphans, guard=GuardLimits(max_fraction=0.5)))

    assert (result.outcome, result.removed, result.remaining) == ("needs_approval", 40, 40)
    assert (
        "would delete 80 of 100 rows of memories (80%, guard.max_fraction is 50%). "
        "40 rows were deleted before the guard stopped the run. To allow it once" in result.stopped_reason
    )

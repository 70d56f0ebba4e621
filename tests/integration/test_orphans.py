"""Children without a parent go; children of somebody, and of nobody, stay."""

from collections.abc import Callable

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ops_pipeline import policy
from ops_pipeline.database import Connection, scalar
from ops_pipeline.maintenance.perform import perform

FILL = """
INSERT INTO memories (session_id) SELECT id FROM sessions;
INSERT INTO memories (session_id) SELECT gen_random_uuid() FROM generate_series(1, 500);
INSERT INTO memories (session_id) SELECT NULL FROM generate_series(1, 70);
"""


@pytest.fixture
def memories(application: Connection) -> Connection:
    application.execute(FILL)
    return application


def test_orphans_go_and_a_null_reference_is_none(memories: Connection, orphans: policy.Orphans) -> None:
    result = perform(memories, orphans)

    assert (result.outcome, result.removed, result.left, result.examined) == ("done", 500, 0, 6570)
    assert scalar(memories, "SELECT count(*) FROM memories WHERE session_id IS NULL") == 70
    assert scalar(memories, "SELECT count(*) FROM memories") == 6070


def test_a_null_among_the_parents_protects_no_orphan(
    memories: Connection, read: Callable[..., policy.Database]
) -> None:
    # The trap of NOT IN: one NULL in the list, and nothing is ever removed.
    memories.execute("CREATE TABLE parents (ref uuid); INSERT INTO parents SELECT id FROM sessions")
    memories.execute("INSERT INTO parents VALUES (NULL)")
    rule = read(
        "version: 1\ndatabases: {app: {url: x, orphans:"
        " [{table: memories, column: session_id, references: parents.ref}]}}"
    ).policies[0]

    assert perform(memories, rule).removed == 500


def test_a_stopped_sweep_goes_on_and_catches_what_came_behind_it(
    memories: Connection, orphans: policy.Orphans, small_batches: None
) -> None:
    batches = iter(range(1000))
    first = perform(memories, orphans, stop=lambda: "asked to" if next(batches) == 5 else None)
    assert first.outcome == "stopped"
    memories.execute(
        "INSERT INTO memories VALUES ('00000000-0000-0000-0000-000000000001', gen_random_uuid())"
    )

    rest = perform(memories, orphans)

    assert rest.outcome == "done"
    assert first.removed + rest.removed == 501
    assert rest.left == 0


def test_a_locked_orphan_keeps_only_itself(memories: Connection, orphans: policy.Orphans, url: str) -> None:
    with psycopg.connect(url) as other:
        other.execute(
            "SELECT FROM memories m WHERE session_id IS NOT NULL AND NOT EXISTS"
            " (SELECT FROM sessions s WHERE s.id = m.session_id) LIMIT 1 FOR UPDATE"
        )
        memories.execute("SET lock_timeout = '50ms'")

        assert perform(memories, orphans).left == 1


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    parents=st.sets(st.integers(0, 20), max_size=20),
    children=st.lists(st.one_of(st.none(), st.integers(0, 25)), max_size=80),
)
def test_a_composite_key_is_walked_to_its_end(
    connection: Connection,
    read: Callable[..., policy.Database],
    parents: set[int],
    children: list[int | None],
) -> None:
    connection.execute(
        'DROP TABLE IF EXISTS parent, "Child";'
        " CREATE TABLE parent (number int PRIMARY KEY);"
        ' CREATE TABLE "Child" (tenant text, "No" int, ref int, PRIMARY KEY (tenant, "No"))'
    )
    connection.execute("INSERT INTO parent SELECT unnest(%s::int[])", [list(parents)])
    connection.execute(
        """INSERT INTO "Child" SELECT (ARRAY['ä', '''"', 'b c'])[1 + n %% 3], n, ref
           FROM unnest(%s::int[]) WITH ORDINALITY AS c (ref, n)""",
        [children],
    )
    rule = read(
        "version: 1\ndatabases: {app: {url: x, orphans: [{table: Child, column: ref,"
        " references: parent.number}]}}"
    ).policies[0]

    result = perform(connection, rule)

    expected = [ref for ref in children if ref is None or ref in parents]
    assert result.removed == len(children) - len(expected)
    assert scalar(connection, 'SELECT count(*) FROM "Child"') == len(expected)

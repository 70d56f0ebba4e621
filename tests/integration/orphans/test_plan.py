"""The plan names an index that a reference lacks, and the statement that creates it."""

from collections.abc import Callable
from typing import LiteralString

import pytest
from psycopg import sql as compose

from ops_pipeline.maintenance.kinds import plan
from ops_pipeline.maintenance.orphans import problems
from ops_pipeline.maintenance.orphans.plan import plan_orphans
from ops_pipeline.maintenance.orphans.policy import Orphans
from ops_pipeline.maintenance.plan import DeletePlan, Planning, Unplanned
from ops_pipeline.policies.model import Database
from ops_pipeline.postgres.connection import Connection

POLICY = (
    "version: 1\ndatabases: {app: {url: x, orphans:"
    " [{table: memories, column: session_id, references: parents.ref, grace_period: 0 seconds}]}}"
)


@pytest.mark.parametrize(
    "made",
    [
        "",
        "CREATE INDEX ON memories (content, session_id)",
        "CREATE INDEX ON memories USING hash (session_id)",
    ],
)
def test_a_reference_without_an_index_is_reported_with_the_statement_that_creates_it(
    application: Connection, orphans: Orphans, made: LiteralString
) -> None:
    application.execute(made or "SELECT")

    (advice,) = plan_orphans(Planning(application, 60), orphans).advice

    assert "no index of public.memories begins with session_id" in advice
    statement = advice.rsplit(": ", 1)[1]
    assert statement == "CREATE INDEX CONCURRENTLY ON public.memories (session_id)"
    application.execute(compose.SQL(statement))
    assert plan_orphans(Planning(application, 60), orphans).advice == ()


def test_a_partitioned_child_gets_statements_that_index_each_partition_concurrently(
    application: Connection, read: Callable[..., Database]
) -> None:
    application.execute(
        "CREATE TABLE notes (day int, session_id uuid) PARTITION BY RANGE (day);"
        "CREATE TABLE notes_1 PARTITION OF notes FOR VALUES FROM (1) TO (2);"
        "CREATE TABLE notes_2 PARTITION OF notes FOR VALUES FROM (2) TO (3);"
        "CREATE INDEX ON notes_2 (session_id)"
    )
    of = read(
        "version: 1\ndatabases: {app: {url: x, orphans:"
        " [{table: notes, column: session_id, references: sessions.id}]}}"
    )

    (planned,) = plan(application, of.policies)

    assert not isinstance(planned, Unplanned)
    (advice,) = planned.advice
    statements = advice.rsplit(": ", 1)[1].split("; ")
    assert statements == [
        "CREATE INDEX CONCURRENTLY ON public.notes_1 (session_id)",
        "CREATE INDEX ON public.notes (session_id)",
    ]
    for each in statements:
        application.execute(compose.SQL(each))
    assert next(plan(application, of.policies)).advice == ()  # type: ignore[union-attr]  # or planned


def test_a_parent_without_an_index_is_refused_until_it_has_one(
    application: Connection, read: Callable[..., Database], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(problems, "SMALL_PARENT_BYTES", 8192)
    application.execute("CREATE INDEX ON memories (session_id)")
    application.execute("CREATE TABLE parents AS SELECT id AS ref FROM sessions")

    (refused,) = plan(application, read(POLICY).policies)

    assert isinstance(refused, Unplanned)
    assert "no index of public.parents begins with ref" in refused.problem
    assert "CREATE INDEX CONCURRENTLY ON public.parents (ref)" in refused.problem
    application.execute("CREATE INDEX CONCURRENTLY ON public.parents (ref)")
    (planned,) = plan(application, read(POLICY).policies)
    assert isinstance(planned, DeletePlan)
    assert planned.rows.eligible == 0


def test_a_small_parent_without_an_index_is_scanned_for_each_batch_and_reported(
    application: Connection, read: Callable[..., Database]
) -> None:
    application.execute("CREATE INDEX ON memories (session_id)")
    application.execute("CREATE TABLE parents AS SELECT id AS ref FROM sessions LIMIT 10")

    (planned,) = plan(application, read(POLICY).policies)

    assert not isinstance(planned, Unplanned)
    assert ["no index of public.parents begins with ref" in each for each in planned.advice] == [True]

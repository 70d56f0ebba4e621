"""A table that refers to itself loses its orphans, and the orphans these leave, in one run."""

from collections.abc import Callable

import pytest

from ops_pipeline.holds import holds
from ops_pipeline.maintenance.kinds import carry_out, plan
from ops_pipeline.maintenance.orphans import removal, triggers
from ops_pipeline.maintenance.orphans.policy import Orphans
from ops_pipeline.maintenance.plan import DeletePlan
from ops_pipeline.postgres.connection import Connection, scalar
from tests.integration.orphans.conftest import an_hour_later

PoliciesOf = Callable[[str], list[Orphans]]

POLICY = "table: comments, column: answers, references: comments.id"


def comments(connection: Connection, *, indexed: bool = True) -> None:
    """Ten threads of five levels, three of which have lost their first comment."""
    connection.execute(
        "CREATE TABLE comments (id int PRIMARY KEY, answers int);"
        "INSERT INTO comments SELECT thread * 100 + level, nullif(thread * 100 + level - 1, thread * 100)"
        " FROM generate_series(1, 10) AS thread, generate_series(1, 5) AS level"
    )
    if indexed:
        connection.execute("CREATE INDEX ON comments (answers)")


def lose(connection: Connection, threads: int) -> None:
    connection.execute("DELETE FROM comments WHERE answers IS NULL AND id <= %s", [threads * 100 + 1])


@pytest.mark.parametrize("indexed", [True, False])
@pytest.mark.parametrize("many", [True, False])
def test_the_whole_chain_is_planned_and_deleted_in_one_run(
    connection: Connection,
    policies_of: PoliciesOf,
    monkeypatch: pytest.MonkeyPatch,
    *,
    indexed: bool,
    many: bool,
) -> None:
    if many:
        monkeypatch.setattr(removal, "MANY_CHILDREN", 0)
    comments(connection, indexed=indexed)
    lose(connection, 3)
    (policy,) = policies_of(f"{{{POLICY}, grace_period: 0 seconds}}")
    (planned,) = plan(connection, [policy])
    assert isinstance(planned, DeletePlan), planned
    assert (planned.rows.eligible, planned.rows.total, planned.rows.null) == (12, 47, 7)

    result = carry_out(connection, policy)

    assert (result.removed, result.remaining) == (12, 0)
    assert scalar(connection, "SELECT count(*) FROM comments") == 35
    assert carry_out(connection, policy).removed == 0


def test_rows_orphaned_by_a_deleted_orphan_need_no_grace_period(
    connection: Connection, policies_of: PoliciesOf
) -> None:
    comments(connection)
    lose(connection, 3)
    (policy,) = policies_of(f"{{{POLICY}, grace_period: 1 hour}}")
    assert carry_out(connection, policy).removed == 0
    an_hour_later(connection)
    connection.execute("INSERT INTO comments VALUES (999, 105), (998, 999)")

    result = carry_out(connection, policy)

    assert (result.removed, result.outcome) == (12, "done")
    assert scalar(connection, "SELECT count(*) FROM comments WHERE id IN (998, 999)") == 2


def test_a_chain_that_triggers_have_recorded_is_deleted_in_one_run(
    connection: Connection, policies_of: PoliciesOf
) -> None:
    comments(connection)
    (policy,) = policies_of(f"{{{POLICY}, grace_period: 0 seconds, track: true}}")
    triggers.install(connection, policy, by="ada")
    carry_out(connection, policy)
    lose(connection, 3)

    result = carry_out(connection, policy)

    assert (result.removed, result.details["source"]) == (12, "record")


def test_the_guard_counts_the_whole_chain(connection: Connection, policies_of: PoliciesOf) -> None:
    comments(connection)
    lose(connection, 3)
    (policy,) = policies_of(f"{{{POLICY}, grace_period: 0 seconds, guard: {{max_rows: 11}}}}")
    (planned,) = plan(connection, [policy])
    assert isinstance(planned, DeletePlan)
    assert planned.needs_approval

    result = carry_out(connection, policy)

    assert (result.removed, result.outcome) == (0, "needs_approval")
    assert scalar(connection, "SELECT count(*) FROM comments") == 47


def test_a_row_on_hold_keeps_those_that_refer_to_it(connection: Connection, policies_of: PoliciesOf) -> None:
    comments(connection)
    lose(connection, 3)
    holds.add(connection, "comments", "id = 203", reason="x", owner="y", by="z")
    (policy,) = policies_of(f"{{{POLICY}, grace_period: 0 seconds}}")
    (planned,) = plan(connection, [policy])
    assert isinstance(planned, DeletePlan)
    assert (planned.rows.eligible, planned.rows.on_hold) == (9, 1)

    assert carry_out(connection, policy).removed == 9

    kept = connection.execute("SELECT id FROM comments WHERE id BETWEEN 200 AND 299 ORDER BY 1").fetchall()
    assert kept == [(203,), (204,), (205,)]


def test_a_long_chain_is_deleted_to_its_end(connection: Connection, policies_of: PoliciesOf) -> None:
    connection.execute(
        "CREATE TABLE comments (id int PRIMARY KEY, answers int); CREATE INDEX ON comments (answers);"
        "INSERT INTO comments SELECT n, n - 1 FROM generate_series(1, 200) AS n"
    )
    (policy,) = policies_of(f"{{{POLICY}, grace_period: 0 seconds}}")

    assert carry_out(connection, policy).removed == 200

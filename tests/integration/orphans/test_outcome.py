"""What orphan cleanup leaves is what a model in Python computes, whatever rows refer to which."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ops_pipeline.maintenance.kinds import carry_out
from ops_pipeline.maintenance.orphans import mark, triggers
from ops_pipeline.maintenance.orphans.plan import plan_orphans
from ops_pipeline.maintenance.orphans.policy import Orphans
from ops_pipeline.maintenance.plan import Planning
from ops_pipeline.postgres.connection import Connection

PoliciesOf = Callable[[str], list[Orphans]]
Key = tuple[int | None, str | None]

TABLES = """
DROP TABLE IF EXISTS a, "B", c;
CREATE TABLE a (tenant int, "Ref" text, payload int, UNIQUE (tenant, "Ref"));
CREATE TABLE "B" (id int, tenant int, ref text);
CREATE TABLE c (id int, b int);
CREATE UNIQUE INDEX ON "B" (id);
TRUNCATE ops.missing_parents, ops.orphan_clock, ops.orphan_tracks, ops.maintenance_cursors;
"""
INDEXES = 'CREATE INDEX ON "B" (ref, tenant); CREATE INDEX ON c (b)'
KEYS = st.tuples(st.one_of(st.none(), st.integers(0, 3)), st.one_of(st.none(), st.sampled_from("xyö'")))
QUIETLY = settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@dataclass
class Rows:
    """Rows of a, B and c: the grandchildren c refer to B by number, B to a by two columns."""

    a: set[Key]
    b: list[Key]
    c: list[int | None]

    def write(self, connection: Connection, *, indexed: bool) -> None:
        connection.execute(TABLES)
        if indexed:
            connection.execute(INDEXES)
        with connection.cursor() as cursor:
            cursor.executemany("INSERT INTO a VALUES (%s, %s)", list(self.a))
            cursor.executemany('INSERT INTO "B" VALUES (%s, %s, %s)', [(n, *k) for n, k in enumerate(self.b)])
            cursor.executemany("INSERT INTO c VALUES (%s, %s)", list(enumerate(self.c)))

    def kept(self, *, nulls_go: bool) -> tuple[list[int], list[int]]:
        b = [n for n, key in enumerate(self.b) if (None in key and not nulls_go) or key in self.a]
        b = [n for n in b if not (None in self.b[n] and nulls_go)]
        return b, [n for n, ref in enumerate(self.c) if ref is None or ref in b]


ROWS = st.builds(
    Rows,
    a=st.sets(KEYS, max_size=8),
    b=st.lists(KEYS, max_size=25),
    c=st.lists(st.one_of(st.none(), st.integers(0, 30)), max_size=40),
)


def _ids(connection: Connection, table: str) -> list[int]:
    return [n for (n,) in connection.execute(f'SELECT id FROM "{table}" ORDER BY id')]  # noqa: S608 - ours


@pytest.mark.parametrize(
    ("indexed", "hashed"), [(True, mark.HASHED_PARENTS), (False, mark.HASHED_PARENTS), (False, 0)]
)
@QUIETLY
@given(rows=ROWS, nulls_go=st.booleans())
def test_a_chain_of_tables_loses_exactly_its_orphans_in_one_run(
    connection: Connection,
    policies_of: PoliciesOf,
    small_batches: None,
    monkeypatch: pytest.MonkeyPatch,
    indexed: bool,
    hashed: int,
    rows: Rows,
    nulls_go: bool,
) -> None:
    monkeypatch.setattr(mark, "HASHED_PARENTS", hashed)
    rows.write(connection, indexed=indexed)
    of_c, of_b = (
        "{table: c, column: b, references: B.id, grace_period: 0 seconds}",
        "{table: B, columns: [tenant, ref], references: 'a(tenant, Ref)', grace_period: 0 seconds,"
        f" null_is_orphan: {str(nulls_go).lower()}}}",
    )
    connection.execute("DELETE FROM ops.maintenance_runs")  # else another null_is_orphan needs approval
    b, c = rows.kept(nulls_go=nulls_go)
    policies = policies_of(f"{of_c}, {of_b}")
    planned = plan_orphans(Planning(connection, 60), policies[0])

    results = [carry_out(connection, policy) for policy in policies]

    assert [policy.table.name for policy in policies] == ["B", "c"], (
        "the parents come first, however they are written"
    )
    assert (_ids(connection, "B"), _ids(connection, "c")) == (b, c)
    assert [result.removed for result in results] == [len(rows.b) - len(b), len(rows.c) - len(c)]
    assert [result.remaining for result in results] == [0, 0]
    assert planned.rows.eligible == results[0].removed, "the plan is what was done"


@QUIETLY
@given(rows=ROWS, data=st.data())
def test_the_record_of_deleted_parents_ends_where_a_sweep_would(
    connection: Connection, policies_of: PoliciesOf, small_batches: None, rows: Rows, data: Any
) -> None:
    rows.write(connection, indexed=True)
    (policy,) = policies_of(
        "{table: B, columns: [tenant, ref], references: 'a(tenant, Ref)', grace_period: 0 seconds,"
        " track: true}"
    )
    triggers.install(connection, policy, by="test")
    assert carry_out(connection, policy).details["source"] == "sweep", "a record begins with a sweep"
    gone = data.draw(st.sets(st.sampled_from(sorted(rows.a, key=str)))) if rows.a else set()
    moved = data.draw(st.sets(st.sampled_from(sorted(rows.a, key=str)))) - gone if rows.a else set()
    with connection.cursor() as cursor:
        same = 'tenant IS NOT DISTINCT FROM %s AND "Ref" IS NOT DISTINCT FROM %s'
        cursor.executemany(f"DELETE FROM a WHERE {same}", list(gone))  # noqa: S608 - ours
        moving = f"UPDATE a SET tenant = coalesce(tenant, 5) + 10 WHERE {same}"  # noqa: S608 - ours
        cursor.executemany(moving, list(moved))
    rows.a -= gone | moved

    result = carry_out(connection, policy)

    assert result.details["source"] == "record"
    assert _ids(connection, "B") == rows.kept(nulls_go=False)[0]
    assert result.remaining == 0

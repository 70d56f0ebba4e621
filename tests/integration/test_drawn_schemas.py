"""Random tables, foreign keys, triggers, holds and policies: every deleted row was planned, every row to
archive is archived exactly, and rows on hold or kept remain."""

import json
import shutil
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ops_pipeline.holds import holds
from ops_pipeline.maintenance import kinds
from ops_pipeline.maintenance.plan import DeletePlan, deleted_by_cascade
from ops_pipeline.maintenance.result import RefusedError
from ops_pipeline.maintenance.retention.policy import Retention
from ops_pipeline.policies.model import Database
from ops_pipeline.postgres.connection import Connection
from ops_pipeline.settings import Settings

Read = Callable[[str], Database]
Rows = Mapping[str, Mapping[int, str]]
"""The rows of each table by id, as JSON."""

KEEPS = """
CREATE FUNCTION keeps_sevenths() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN IF OLD.id % 7 = 0 THEN RETURN NULL; END IF; RETURN OLD; END $$;
"""


@dataclass(frozen=True)
class Table:
    """A table whose rows are 0, 10, 20, … days old in turn; `refers`: to which earlier tables, and how."""

    rows: int
    refers: Mapping[int, str]
    keeps: bool
    keep: int | None
    archive: bool
    cascade: str | None
    held: int | None


@dataclass(frozen=True)
class Schema:
    """Tables t0, t1, …, and whether each has a policy."""

    tables: Sequence[Table]

    def statements(self) -> str:
        made = [f"DROP TABLE IF EXISTS {', '.join(f't{n}' for n in range(5))} CASCADE;"]
        for number, table in enumerate(self.tables):
            columns = "".join(
                f", r{to} int DEFAULT NULL REFERENCES t{to} ON DELETE {action}"
                for to, action in table.refers.items()
            )
            made.append(f"CREATE TABLE t{number} (id int PRIMARY KEY, at timestamptz{columns});")
            made += [f"CREATE INDEX ON t{number} (r{to});" for to in table.refers]
            values = "".join(
                f", CASE WHEN {self.tables[to].rows} > 0 AND n % 5 > 0"
                f" THEN (n * 3 + {number}) % greatest({self.tables[to].rows}, 1) END"
                for to in table.refers
            )
            made.append(
                f"INSERT INTO t{number} SELECT n, now() - make_interval(days => n % 10 * 10){values}"  # noqa: S608
                f" FROM generate_series(0, {table.rows} - 1) AS n;"
            )
            if table.keeps:
                made.append(
                    f"CREATE TRIGGER keeps BEFORE DELETE ON t{number} FOR EACH ROW"
                    " EXECUTE FUNCTION keeps_sevenths();"
                )
        return "".join(made)

    def policies(self) -> str:
        entries = [
            f"      - {{table: t{number}, column: at, keep: {table.keep} days"
            + (", archive: true" if table.archive else "")
            + (f", cascade: {table.cascade}" if table.cascade else "")
            + "}"
            for number, table in enumerate(self.tables)
            if table.keep is not None
        ]
        head = "version: 1\ndatabases:\n  app:\n    url: x\n    guard: {max_fraction: 1}\n    retention:\n"
        return head + "\n".join(entries) if entries else head.replace("    retention:\n", "")


@st.composite
def schemas(draw: st.DrawFn) -> Schema:
    tables: list[Table] = []
    for number in range(draw(st.integers(2, 4))):
        to = draw(st.sets(st.integers(0, number - 1), max_size=2)) if number else set()
        actions = st.sampled_from(["CASCADE", "CASCADE", "NO ACTION", "SET NULL", "SET DEFAULT"])
        archive = draw(st.booleans())
        tables.append(
            Table(
                rows=draw(st.integers(0, 40)),
                refers={parent: draw(actions) for parent in sorted(to)},
                keeps=draw(st.integers(0, 9)) == 0,
                keep=draw(st.sampled_from([None, 25, 55])),
                archive=archive,
                cascade=draw(st.sampled_from([None, "delete", *(["archive"] if archive else [])])),
                held=draw(st.sampled_from([None, None, None, 3, 6, 17])),
            )
        )
    return Schema(tables)


def all_rows(connection: Connection, schema: Schema) -> Rows:
    return {
        f"t{number}": dict(connection.execute(f"SELECT id, to_jsonb(t)::text FROM t{number} AS t").fetchall())  # noqa: S608
        for number, _ in enumerate(schema.tables)
    }


def archived_ids(folder: Path) -> dict[str, list[int]]:
    ids: dict[str, list[int]] = {}
    for file in folder.rglob("*.parquet"):
        ids.setdefault(file.relative_to(folder).parts[0], []).extend(pq.read_table(file)["id"].to_pylist())
    return {table: sorted(of_table) for table, of_table in ids.items()}


def has_lost_a_parent(schema: Schema, name: str, row: str, deleted: Mapping[str, Collection[int]]) -> bool:
    """Whether a row that this one refers to by ON DELETE CASCADE is among those deleted."""
    values = json.loads(row)
    cascading = [to for to, action in schema.tables[int(name[1:])].refers.items() if action == "CASCADE"]
    return any(values[f"r{to}"] in deleted[f"t{to}"] for to in cascading)


def carry_out_and_compare(
    connection: Connection, schema: Schema, policies: Database, policy: Retention, folder: Path
) -> None:
    """Plans and runs one policy, and compares the result with every row that existed before."""
    own = policy.table.name
    before, in_files = all_rows(connection, schema), archived_ids(folder)
    (plan,) = kinds.plan(connection, [policy], archive_url=str(folder))
    assert isinstance(plan, DeletePlan), plan
    expired = {
        row_id
        for row_id in before[own]
        if row_id % 10 * 10 >= policy.keep.days
    }  # fmt: skip
    held = schema.tables[int(own[1:])].held

    try:
        result = kinds.carry_out(connection, policy, settings=Settings(archive_url=str(folder)))
    except RefusedError:
        assert plan.refusals, "the plan knew"
        assert all_rows(connection, schema) == before
        return

    assert not plan.refusals
    after = all_rows(connection, schema)
    deleted = {table: set(before[table]) - set(after[table]) for table in before}
    assert deleted[own] <= expired - {held}
    cascaded = {row["table"].removeprefix("public."): row["deleted"] for row in result.cascaded}
    of_others = {table: len(ids) for table, ids in deleted.items() if ids and table != own}
    assert {table: number for table, number in cascaded.items() if number} == of_others, "recorded as it was"
    assert result.removed == len(deleted[own])
    for name in of_others:
        for row_id in deleted[name]:
            assert has_lost_a_parent(schema, name, before[name][row_id], deleted), (name, row_id)
    assert result.removed <= plan.rows.eligible
    assert sum(of_others.values()) <= deleted_by_cascade(plan.cascaded)
    if result.outcome == "done":
        assert result.removed == plan.rows.eligible
        assert sum(of_others.values()) == deleted_by_cascade(plan.cascaded)
    for number, table in enumerate(schema.tables):
        if table.held is not None and table.held in before[f"t{number}"]:
            assert after[f"t{number}"].get(table.held) == before[f"t{number}"][table.held], (
                "on hold, unchanged"
            )
    if policy.cascade is None:
        owned = {other.table.name for other in policy.deleting if other.name != policy.name}
        assert not owned & of_others.keys(), "other policies keep or archive these"
    files = archived_ids(folder)
    archived = {own: deleted[own]} if policy.archive else {}
    if policy.cascade == "archive":
        archived = dict(deleted)
    for name in deleted:
        expected = sorted([*in_files.get(name, []), *archived.get(name, set())])
        assert files.get(name, []) == expected, "the archived set is the deleted set"


def compare(connection: Connection, read: Read, schema: Schema, folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    connection.execute(
        "DELETE FROM ops.maintenance_runs; DELETE FROM ops.legal_holds; DELETE FROM ops.archives"
    )
    connection.execute(schema.statements().encode())
    for number, table in enumerate(schema.tables):
        if table.held is not None:
            holds.add(connection, f"t{number}", f"id = {table.held}", reason="x", owner="y", by="z")
    database = read(schema.policies())
    for policy in kinds.children_first(connection, database.policies):
        assert isinstance(policy, Retention)
        carry_out_and_compare(connection, schema, database, policy, folder)


def setting(examples: int) -> Callable[..., Callable[..., None]]:
    return settings(
        max_examples=examples, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
    )


@pytest.fixture
def keeping(connection: Connection) -> Connection:
    connection.execute(KEEPS)
    return connection


@setting(20)
@given(schema=schemas())
def test_nothing_is_deleted_that_the_plan_did_not_count(
    keeping: Connection, read: Read, small_batches: None, tmp_path: Path, schema: Schema
) -> None:
    compare(keeping, read, schema, tmp_path / "archive")


@pytest.mark.prove
@setting(400)
@given(schema=schemas())
def test_nothing_is_deleted_that_the_plan_did_not_count_in_many_schemas(
    keeping: Connection, read: Read, small_batches: None, tmp_path: Path, schema: Schema
) -> None:
    compare(keeping, read, schema, tmp_path / "archive")

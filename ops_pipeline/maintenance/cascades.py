"""Rows that PostgreSQL deletes along with a policy's: counted, and refused where they are another policy's or
more than the guard allows."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from psycopg import sql as compose

import sql
from ops_pipeline.maintenance.references import ForeignKey, cascades, foreign_keys, refers
from ops_pipeline.maintenance.row_counter import COUNT_EXACTLY_BYTES
from ops_pipeline.policies.model import DeletingPolicy
from ops_pipeline.postgres import catalog
from ops_pipeline.postgres.connection import Connection, scalar
from ops_pipeline.postgres.relation import Relation, find_relation

COUNTED = 100_000
"""Where a single row is too many, they are counted no further."""

Within = Callable[[compose.Composed], list[tuple[Any, ...]] | None]
"""Answers a statement; None when that took too long."""


@dataclass(frozen=True, slots=True)
class Deletion:
    """The rows of `table` that the policy deletes: those that meet `condition`, over the alias `target`."""

    policy: DeletingPolicy
    table: Relation
    condition: compose.Composable
    rows: int


def refusals(connection: Connection, deletion: Deletion, within: Within) -> tuple[str, ...]:
    """Why the policy may not run, for what its deletes would cascade into, and what to do about it.

    Any row of a table that has a policy of its own is too many, and so is one of the policy's own table that
    the policy keeps; of other tables, more than `guard` allows of each and of all together. What cannot be
    counted in time is refused. Reads only. Raises psycopg.Error.
    """
    reach = _Reach(connection)
    reach.follow(deletion.table, (deletion.table,))
    if not reach.tables and not reach.circles:
        return ()
    return tuple(_Refusals(connection, deletion, within, reach).all())


def unarchived(connection: Connection, table: Relation) -> Iterator[str]:
    """Why rows of the table cannot be archived before they are deleted: others would be deleted along."""
    if reached := cascades(connection, table):
        yield (
            f"rows of {', '.join(reached)} would be deleted along by ON DELETE CASCADE and cannot be "
            "archived; give them a policy of their own and make the foreign key NO ACTION"
        )


@dataclass(frozen=True, slots=True)
class _Step:
    """From a table by a key that refers to it, or to a partition of it, to the table that has the key."""

    source: Relation
    key: ForeignKey


@dataclass(slots=True)
class _Reach:
    """The tables that cascades reach: by which steps, those left out that close a circle, and those."""

    connection: Connection
    tables: dict[Relation, list[_Step]] = field(default_factory=dict)
    circles: list[_Step] = field(default_factory=list)

    def follow(self, table: Relation, path: tuple[Relation, ...]) -> None:
        for key in foreign_keys(self.connection, table):
            if key.on_delete != "c":
                continue
            if key.child in path:
                self.circles.append(_Step(table, key))
                continue
            known = key.child in self.tables
            self.tables.setdefault(key.child, []).append(_Step(table, key))
            if not known:
                self.follow(key.child, (*path, key.child))

    def way(self, step: _Step) -> str:
        """The names of the keys that lead from the policy's table up to and with that one."""
        before = self.tables.get(step.source)
        return f"{self.way(before[0])}, then {step.key.name}" if before else step.key.name


@dataclass(slots=True)
class _Refusals:
    """Why the deletion is refused. `cascaded`: rows counted so far, of tables without a policy."""

    connection: Connection
    deletion: Deletion
    within: Within
    reach: _Reach
    cascaded: int = 0

    def all(self) -> Iterator[str]:
        policies = self._policies_by_root()
        for table, steps in self.reach.tables.items():
            if self._root(table) == self._root(self.deletion.table):
                yield from self._of_own(table, steps, self._reached(table, "reached_0", 0))
            elif (owner := policies.get(self._root(table))) is not None:
                yield from self._of_another_policy(table, steps, owner)
            else:
                yield from self._beyond_the_guard(table, steps)
        for step in self.reach.circles:
            yield from self._of_circle(step)

    def _of_another_policy(self, table: Relation, steps: Sequence[_Step], owner: str) -> Iterator[str]:
        why = f"{table} has a policy of its own ({owner})"
        reached = self._reached(table, "reached_0", 0)
        yield from self._any(table, steps, reached, why, more=f", and {why}, which would not see them")

    def _of_own(self, table: Relation, steps: Sequence[_Step], reached: compose.Composable) -> Iterator[str]:
        kept = compose.SQL(
            "{} AND NOT EXISTS (SELECT FROM {} AS target WHERE (target.tableoid, target.ctid) = "
            "(reached_0.tableoid, reached_0.ctid) AND {})"
        ).format(reached, self.deletion.table.identifier, self.deletion.condition)
        why = "they may be rows that this policy keeps"
        yield from self._any(table, steps, kept, why, which=" that this policy keeps")

    def _of_circle(self, step: _Step) -> Iterator[str]:
        """What a second lap reaches, and with it perhaps a third: its rows are not counted but refused."""
        child = step.key.child
        lap = self._referring(step, "reached_0", 0)
        if self._root(child) == self._root(self.deletion.table):
            yield from self._of_own(child, [step], lap)
            return
        further = compose.SQL("{} AND NOT ({})").format(lap, self._reached(child, "reached_0", 0))
        why = "its cascades go in a circle"
        yield from self._any(child, [step], further, why, more=" in a circle, whose end is not known")

    def _any(
        self,
        table: Relation,
        steps: Sequence[_Step],
        condition: compose.Composable,
        why_uncounted: str,
        *,
        which: str = "",
        more: str = "",
    ) -> Iterator[str]:
        """Where a single row that meets the condition is too many."""
        rows = self._count(table, condition, COUNTED)
        if rows is None:
            yield self._uncounted(table, steps, why_uncounted)
        elif rows:
            yield f"{self._would(rows, COUNTED, table, steps, which)}{more}. {self._way_out(steps)}"

    def _beyond_the_guard(self, table: Relation, steps: Sequence[_Step]) -> Iterator[str]:
        guard = self.deletion.policy.guard
        if guard.max_rows is None and guard.max_fraction >= 1:
            return
        total = self._total(table)
        share = int(total * guard.max_fraction)
        budget = (
            total if guard.max_rows is None else max(0, guard.max_rows - self.deletion.rows - self.cascaded)
        )
        rows = self._count(table, self._reached(table, "reached_0", 0), min(share, budget) + 1)
        if rows is None:
            yield self._uncounted(table, steps, f"{table} has {total:,} rows")
            return
        self.cascaded += rows
        if rows <= min(share, budget):
            return
        limit = (
            f"guard.max_fraction is {guard.max_fraction:g} of the {total:,} rows of {table}"
            if share <= budget
            else f"guard.max_rows is {guard.max_rows:,} with them"
        )
        yield (
            f"{self._would(rows - 1, rows - 1, table, steps)}, and {limit}. If this is right, raise that "
            f"limit in the policy; else give {table} a policy of its own. {self._way_out(steps)}"
        )

    def _would(self, rows: int, most: int, table: Relation, steps: Sequence[_Step], which: str = "") -> str:
        more = "more than " if rows >= most else ""
        return (
            f"deleting {_rows(self.deletion.rows)} of {self.deletion.table} would also delete "
            f"{more}{_rows(rows)} of {table}{which} by ON DELETE CASCADE ({self._named(steps)})"
        )

    def _uncounted(self, table: Relation, steps: Sequence[_Step], why: str) -> str:
        return (
            f"how many rows of {table} ON DELETE CASCADE ({self._named(steps)}) would delete along could not "
            f"be counted in time, and {why}. {self._way_out(steps)}"
        )

    def _named(self, steps: Sequence[_Step]) -> str:
        return "; ".join(self.reach.way(step) for step in steps)

    def _way_out(self, steps: Sequence[_Step]) -> str:
        """The keys without their CASCADE: then a row is kept as long as others refer to it."""
        statements = (
            compose.SQL("ALTER TABLE {0} DROP CONSTRAINT {1}, ADD CONSTRAINT {1} ")
            .format(step.key.child.identifier, compose.Identifier(step.key.name))
            .as_string(self.connection)
            + step.key.uncascaded
            for step in steps
        )
        return f"To keep each row until nothing refers to it: {'; '.join(statements)}"

    def _reached(self, table: Relation, alias: str, depth: int) -> compose.Composable:
        """SQL that is true for the rows of the alias that are deleted, or deleted along."""
        steps = self.reach.tables.get(table)
        if steps is None:
            return self.deletion.condition
        ways = [compose.SQL("({})").format(self._referring(step, alias, depth)) for step in steps]
        return compose.SQL("({})").format(compose.SQL(" OR ").join(ways))

    def _referring(self, step: _Step, alias: str, depth: int) -> compose.Composable:
        parent = f"reached_{depth + 1}" if step.source in self.reach.tables else "target"
        return compose.SQL("EXISTS (SELECT FROM {} AS {} WHERE {} AND {})").format(
            step.key.parent.identifier,
            compose.Identifier(parent),
            refers(step.key, alias, parent),
            self._reached(step.source, parent, depth + 1),
        )

    def _count(self, table: Relation, condition: compose.Composable, most: int) -> int | None:
        statement = compose.SQL(sql.get("maintenance/cascaded")).format(
            table=table.identifier,
            alias=compose.Identifier("reached_0"),
            condition=condition,
            most=compose.Literal(most),
        )
        rows = self.within(statement)
        return None if rows is None else int(rows[0][0])

    def _total(self, table: Relation) -> int:
        if catalog.size(self.connection, table) > COUNT_EXACTLY_BYTES:
            return catalog.expected_rows(self.connection, table)
        statement = compose.SQL(sql.get("maintenance/orphans/rows")).format(
            child=table.identifier, condition=compose.SQL("true")
        )
        rows = self.within(statement)
        return catalog.expected_rows(self.connection, table) if rows is None else int(rows[0][0])

    def _policies_by_root(self) -> dict[int, str]:
        policies: dict[int, str] = {}
        for table, name in self.deletion.policy.deleting:
            try:
                relation = find_relation(self.connection, table)
            except LookupError:
                continue  # its own policy says so
            policies.setdefault(self._root(relation), name)
        return policies

    def _root(self, table: Relation) -> int:
        return int(scalar(self.connection, sql.get("maintenance/root"), {"oid": table.oid}))


def _rows(number: int) -> str:
    return f"{number:,} row{'' if number == 1 else 's'}"

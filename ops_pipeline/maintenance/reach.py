"""Finds the tables that a DELETE reaches through foreign keys, and which of their rows, as SQL."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from psycopg import sql as compose

import sql
from ops_pipeline.maintenance.references import ForeignKey, foreign_keys, refers
from ops_pipeline.policies.model import DeletingPolicy
from ops_pipeline.postgres.connection import Connection, scalar
from ops_pipeline.postgres.relation import Relation, find_relation

REACHED = "reached_0"
"""The alias of the rows that a condition of `Reach` is about."""


@dataclass(frozen=True, slots=True)
class Step:
    """A foreign key that refers to `source` or to a partition of it: a DELETE there reaches `key.child`."""

    source: Relation
    key: ForeignKey


@dataclass(frozen=True, slots=True)
class Target:
    """The rows of the policy's table that are deleted: those that meet `condition`, over the alias `target`.

    `heap`: the table or partition that contains all of them, where that is known.
    """

    condition: compose.Composable
    heap: Relation | None = None


@dataclass(slots=True)
class Reach:
    """What deleting rows of `table` reaches.

    `cascaded`: the tables where ON DELETE CASCADE deletes rows, at any level, each with the steps to it.
    `circles`: the steps that lead back to a table on their own path; they are not in `cascaded`. `cleared`:
    the tables where SET NULL or SET DEFAULT changes rows, each with the steps to it.
    """

    table: Relation
    cascaded: dict[Relation, list[Step]] = field(default_factory=dict)
    circles: list[Step] = field(default_factory=list)
    cleared: dict[Relation, list[Step]] = field(default_factory=dict)

    def way(self, step: Step) -> str:
        """The names of the keys on the path from the policy's table to that step, including its own."""
        before = self.cascaded.get(step.source)
        return f"{self.way(before[0])}, then {step.key.name}" if before else step.key.name

    def children_first(self) -> list[Relation]:
        """The tables that lose rows, each before those whose deletes cascade into it."""
        done: dict[Relation, None] = {}
        for table in self.cascaded:
            self._below(table, done, ())
        return list(done)

    def deleted(self, table: Relation, target: Target) -> compose.Composable:
        """SQL that is true for the rows of a cascaded table (alias REACHED) that the cascade deletes."""
        return self._reached(table, target, REACHED, 0)

    def referring(self, steps: Sequence[Step], target: Target) -> compose.Composable:
        """SQL that is true for the rows (alias REACHED) that refer by one of the steps to a deleted row."""
        return self._any(steps, target, REACHED, 0)

    def _below(self, table: Relation, done: dict[Relation, None], path: tuple[Relation, ...]) -> None:
        for child, steps in self.cascaded.items():
            if child not in path and any(step.source == table for step in steps):
                self._below(child, done, (*path, table))
        done.setdefault(table)

    def _reached(self, table: Relation, target: Target, alias: str, depth: int) -> compose.Composable:
        steps = self.cascaded.get(table)
        return target.condition if steps is None else self._any(steps, target, alias, depth)

    def _any(self, steps: Sequence[Step], target: Target, alias: str, depth: int) -> compose.Composable:
        ways = [compose.SQL("({})").format(self._refers(step, target, alias, depth)) for step in steps]
        return compose.SQL("({})").format(compose.SQL(" OR ").join(ways))

    def _refers(self, step: Step, target: Target, alias: str, depth: int) -> compose.Composable:
        cascaded = step.source in self.cascaded
        parent = f"reached_{depth + 1}" if cascaded else "target"
        # A key to the whole table needs only the heap; a key to one partition needs that partition.
        in_heap = not cascaded and target.heap is not None and step.key.parent == self.table
        rows = target.heap if in_heap and target.heap is not None else step.key.parent
        return compose.SQL("EXISTS (SELECT FROM {} AS {} WHERE {} AND {})").format(
            rows.identifier,
            compose.Identifier(parent),
            refers(step.key, alias, parent),
            self._reached(step.source, target, parent, depth + 1),
        )


def reach(connection: Connection, table: Relation) -> Reach:
    """What deleting rows of the table reaches, read from the catalog. Raises psycopg.Error."""
    reached = Reach(table)
    _follow(connection, reached, table, (table,))
    return reached


def protected(connection: Connection, policy: DeletingPolicy, reached: Reach) -> Mapping[int, str]:
    """The tables where the policy's cascades may delete no row: the oid of their root, and the reason."""
    if policy.cascade is not None:
        return {}
    reasons = dict(owned(connection, policy))
    for table in reached.cascaded:
        of = root(connection, table)
        if policy.archive:
            reasons.setdefault(of, "they would be missing from this policy's archive")
    return reasons


def root(connection: Connection, table: Relation) -> int:
    """The oid of the table itself, or of the one at the root of its partition tree."""
    return int(scalar(connection, sql.get("maintenance/root"), {"oid": table.oid}))


def _follow(connection: Connection, reached: Reach, table: Relation, path: tuple[Relation, ...]) -> None:
    for step in _steps(connection, table):
        child = step.key.child
        if step.key.on_delete != "c":
            reached.cleared.setdefault(child, []).append(step)
        elif child in path:
            reached.circles.append(step)
        else:
            known = child in reached.cascaded
            reached.cascaded.setdefault(child, []).append(step)
            if not known:
                _follow(connection, reached, child, (*path, child))


def _steps(connection: Connection, table: Relation) -> Iterator[Step]:
    """The keys by which a delete from the table deletes or changes rows of another."""
    for key in foreign_keys(connection, table):
        if key.on_delete in "cnd":
            yield Step(table, key)


def owned(connection: Connection, policy: DeletingPolicy) -> Mapping[int, str]:
    """The tables whose rows other policies archive or keep by age, in the form of `protected`."""
    reasons: dict[int, str] = {}
    for other in policy.deleting:
        if other.name == policy.name or not (other.archive or other.max_age() is not None):
            continue
        try:
            table = find_relation(connection, other.table)
        except LookupError:
            continue  # that policy reports it
        of = root(connection, table)
        reasons.setdefault(of, f"{table} has its own policy ({other.name}), which would be bypassed")
    return reasons

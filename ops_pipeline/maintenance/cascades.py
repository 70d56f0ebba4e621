"""Counts the rows that foreign keys delete or change by cascade, and refuses those that must be kept."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from psycopg import sql as compose

import sql
from ops_pipeline.counted import counted
from ops_pipeline.maintenance.plan import CascadedRows, PlannedDeletion, Planning
from ops_pipeline.maintenance.reach import REACHED, Reach, Step, Target, protected, reach, root
from ops_pipeline.maintenance.row_counter import COUNT_EXACTLY_BYTES, RowCounter
from ops_pipeline.policies.model import DeletingPolicy
from ops_pipeline.postgres import catalog
from ops_pipeline.postgres.connection import Connection
from ops_pipeline.postgres.relation import Relation
from ops_pipeline.postgres.spelling import spelled

Within = Callable[[compose.Composed], list[tuple[Any, ...]] | None]
"""Runs a statement and returns its rows; None when it took too long."""


@dataclass(frozen=True, slots=True)
class Cascades:
    """What the policy's deletes also delete or change, and why the policy may therefore not run."""

    rows: tuple[CascadedRows, ...] = ()
    refusals: tuple[str, ...] = ()


def count_cascaded(planning: Planning, policy: DeletingPolicy, counter: RowCounter, rows: int) -> Cascades:
    """Counts what deleting those rows reaches through foreign keys, at every level. `rows`: their number.

    Unless the policy sets `cascade`, it is refused where a cascade would delete a row that another policy
    archives or keeps longer, or that would be missing from the policy's own archive. It is refused in any
    case where a cascade would delete a row of its own table that it keeps. Rows that the policies before it
    delete first do not count there. The deletion is added to `planning.before`. Reads only. Raises
    psycopg.Error.
    """
    connection = planning.connection
    deletion = PlannedDeletion(policy.name, counter.table, counter.deleted, rows)
    before = tuple(planning.before)
    planning.before.append(deletion)
    reached = reach(connection, counter.table)
    if not reached.cascaded and not reached.cleared and not reached.circles:
        return Cascades()
    within = partial(counter.within, planning.limit_seconds)
    counting = _Counting(connection, policy, deletion, within, before, reached)
    counting.count()
    return Cascades(tuple(counting.rows), tuple(counting.refusals))


@dataclass(slots=True)
class _Counting:
    """Visits each table that is reached and fills `rows` and `refusals`."""

    connection: Connection
    policy: DeletingPolicy
    deletion: PlannedDeletion
    within: Within
    before: Sequence[PlannedDeletion]
    reach: Reach
    rows: list[CascadedRows] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)

    @property
    def target(self) -> Target:
        return Target(self.deletion.condition)

    def count(self) -> None:
        reasons = protected(self.connection, self.policy, self.reach)
        for table, steps in self.reach.cascaded.items():
            reached = self.reach.deleted(table, self.target)
            if self._is_own(table):
                self._count_own(table, steps, reached)
            else:
                self._count_deleted(table, steps, reached, reasons.get(root(self.connection, table)))
        for step in self.reach.circles:
            self._count_lap(step)
        for table, steps in self.reach.cleared.items():
            for action in ("n", "d"):
                if by := [step for step in steps if step.key.on_delete == action]:
                    self._count_cleared(table, by)

    def _count_deleted(
        self, table: Relation, steps: Sequence[Step], reached: compose.Composable, reason: str | None
    ) -> None:
        counted = self._add(table, steps, reached)
        if reason is None or counted.rows == 0:
            return
        kept = counted if counted.rows is None else self._not_deleted_before(table, steps, reached, counted)
        if kept.rows is None:
            self.refusals.append(self._uncounted(table, steps, reason))
        elif kept.rows:
            self.refusals.append(
                f"{self._would(kept.rows, table, steps)}: {reason}. To allow it, set `cascade: archive` or "
                f"`cascade: delete` in the policy. {_way_out(steps)}"
            )

    def _not_deleted_before(
        self, table: Relation, steps: Sequence[Step], reached: compose.Composable, counted: CascadedRows
    ) -> CascadedRows:
        """Those of the rows that no policy before this one deletes."""
        of_table = root(self.connection, table)
        first = [
            each
            for each in self.before
            if each.policy != self.policy.name and root(self.connection, each.table) == of_table
        ]
        if not first:
            return counted
        still = [reached, *(each.leaves(REACHED) for each in first)]
        condition = compose.SQL(" AND ").join(still)
        return self._counted(table, steps, condition)

    def _count_own(self, table: Relation, steps: Sequence[Step], reached: compose.Composable) -> None:
        """Rows of the policy's own table; those that it deletes anyway are already counted."""
        kept = compose.SQL("{} AND {}").format(reached, self.deletion.leaves(REACHED))
        counted = self._counted(table, steps, kept)
        if self.policy.archive:
            # A row that a cascade deletes in another batch than its own would not be archived.
            in_another_batch = self._counted(table, steps, reached)
            if in_another_batch.rows != 0:
                self.refusals.append(
                    f"rows of {table} refer to each other with ON DELETE CASCADE ({self._named(steps)}), so "
                    f"some would be deleted before they are archived. {_way_out(steps)}"
                )
        # Whatever `cascade` says: only one level is counted here, and each row may have rows below it.
        elif counted.rows is None:
            self.refusals.append(self._uncounted(table, steps, "they may be rows that this policy keeps"))
        elif counted.rows:
            would = self._would(counted.rows, table, steps, " that this policy keeps")
            self.refusals.append(f"{would}. {_way_out(steps)}")

    def _count_lap(self, step: Step) -> None:
        """What a cycle of cascades reaches the second time round; its rows are refused, not counted."""
        child = step.key.child
        lap = self.reach.referring([step], self.target)
        if self._is_own(child):
            self._count_own(child, [step], lap)
            return
        further = compose.SQL("{} AND NOT ({})").format(lap, self.reach.deleted(child, self.target))
        counted = self._counted(child, [step], further)
        if counted.rows is None:
            self.refusals.append(self._uncounted(child, [step], "its cascades form a cycle"))
        elif counted.rows:
            would = self._would(counted.rows, child, [step])
            self.refusals.append(f"{would} in a cycle, which may delete further rows. {_way_out([step])}")

    def _count_cleared(self, table: Relation, steps: Sequence[Step]) -> None:
        self._add(table, steps, self.reach.referring(steps, self.target))

    def _add(self, table: Relation, steps: Sequence[Step], condition: compose.Composable) -> CascadedRows:
        counted = self._counted(table, steps, condition)
        if counted.rows != 0:
            self.rows.append(counted)
        return counted

    def _counted(self, table: Relation, steps: Sequence[Step], condition: compose.Composable) -> CascadedRows:
        statement = compose.SQL(sql.get("maintenance/cascaded")).format(
            table=table.identifier, alias=compose.Identifier(REACHED), condition=condition
        )
        rows = self.within(statement)
        action = steps[0].key.on_delete
        total = self._total(table)
        return CascadedRows(
            table,
            "deleted" if action == "c" else "set to NULL" if action == "n" else "set to default",
            tuple(dict.fromkeys(step.key.name for step in steps)),
            None if rows is None else int(rows[0][0]),
            total,
            table_bytes=catalog.total_size(self.connection, table),
            archived=action == "c" and self.policy.cascade == "archive",
        )

    def _total(self, table: Relation) -> int:
        if catalog.size(self.connection, table) <= COUNT_EXACTLY_BYTES:
            statement = compose.SQL(sql.get("maintenance/orphans/rows")).format(
                child=table.identifier, condition=compose.SQL("true")
            )
            if (rows := self.within(statement)) is not None:
                return int(rows[0][0])
        return catalog.expected_rows(self.connection, table)

    def _is_own(self, table: Relation) -> bool:
        return root(self.connection, table) == root(self.connection, self.deletion.table)

    def _would(self, rows: int, table: Relation, steps: Sequence[Step], which: str = "") -> str:
        return (
            f"deleting {counted(self.deletion.rows, 'row')} of {self.deletion.table} would also delete "
            f"{counted(rows, 'row')} of {table}{which} by ON DELETE CASCADE ({self._named(steps)})"
        )

    def _uncounted(self, table: Relation, steps: Sequence[Step], why: str) -> str:
        return (
            f"the rows of {table} that ON DELETE CASCADE ({self._named(steps)}) would delete could not be "
            f"counted in time, and {why}. {_way_out(steps)}"
        )

    def _named(self, steps: Sequence[Step]) -> str:
        return "; ".join(self.reach.way(step) for step in steps)


def _way_out(steps: Sequence[Step]) -> str:
    return f"To keep rows as long as others refer to them: {uncascade(steps).removesuffix(';')}"


def uncascade(steps: Sequence[Step]) -> str:
    """The statements that make the keys NO ACTION: then a row is kept as long as others refer to it."""
    return " ".join(
        spelled(
            compose.SQL("ALTER TABLE {0} DROP CONSTRAINT {1}, ADD CONSTRAINT {1} ").format(
                step.key.child.identifier, compose.Identifier(step.key.name)
            ),
            None,
        )
        + f"{step.key.uncascaded};"
        for step in steps
    )

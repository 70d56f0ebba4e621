"""The children removed whose grace is over."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from psycopg import sql as compose
from psycopg.types.json import Jsonb

import sql
from ops_pipeline.holds import holds
from ops_pipeline.maintenance import references
from ops_pipeline.maintenance.batches.actions import Action, archive_and_delete
from ops_pipeline.maintenance.batches.actions.delete import Delete
from ops_pipeline.maintenance.batches.batch import Batches, Run
from ops_pipeline.maintenance.batches.scans import Scan, and_, listed
from ops_pipeline.maintenance.guard import guard
from ops_pipeline.maintenance.orphans import grace_period, reference, track
from ops_pipeline.maintenance.orphans.grace_period import Standing
from ops_pipeline.maintenance.orphans.policy import Orphans
from ops_pipeline.maintenance.orphans.reference import Reference
from ops_pipeline.maintenance.orphans.scans import (
    MarkedOrphans,
    MissingParents,
    MissingParentsByBlocks,
    NullReferences,
)
from ops_pipeline.maintenance.plan import DeletePlan, Method, RowCount
from ops_pipeline.maintenance.result import COMPLETED, Work
from ops_pipeline.postgres import catalog
from ops_pipeline.postgres.connection import Connection, scalar
from ops_pipeline.settings import Settings
from ops_pipeline.throttle.batch_size import BatchSize

MANY_CHILDREN = 100_000
"""From so many children of one row of missing parents on they are looked for block by block."""
COUNTED_AT_ONCE = 20
"""Recorded rows, of up to a thousand keys each, whose children one statement counts."""
COUNT_EXACTLY_BYTES = 64 * 1024 * 1024
"""Up to this size a table's rows are counted for the guard; beyond it the statistics are close enough."""

EVERYTHING = compose.SQL("true")
NOTHING = compose.SQL("false")


@dataclass(slots=True)
class OrphanRemoval:
    """Removes, each time it is asked, what has been missing for the grace by then."""

    run: Run
    rule: Orphans
    reference: Reference
    settings: Settings
    left: int = 0
    approval: str | None = None
    _removed: int = 0

    def remove(self) -> Work | None:
        """Removes what may go. None: all of it is gone that could; else how the run ends."""
        self._count_recorded()
        now = grace_period.standing(self._connection, self.rule)
        older = grace_period.old_enough(self._connection, self.reference, now.by)
        if older is None:
            return None
        if now.ripe is not None and grace_period.others_at_work(self._connection, now.ripe) is not None:
            return None
        nulls = self._nulls(older)
        due = self._orphans(now, older) + nulls
        if due > 0 and (ended := self._remove(now, older, due, nulls)) is not None:
            return ended
        self._settle(now)
        return None

    def done(self) -> Work:
        """The end of a run that was not stopped. What is due and waits for a transaction is left as well."""
        now = grace_period.standing(self._connection, self.rule)
        waiting = self._orphans(now, EVERYTHING)
        return Work(COMPLETED, self.left + waiting, approval=self.approval)

    def in_grace(self) -> int:
        """How many orphans are listed whose grace is not over."""
        now = grace_period.standing(self._connection, self.rule)
        if now.young is None:
            return 0
        return self._count(self._listed(_young(now)), self.reference.missing)

    @property
    def _connection(self) -> Connection:
        return self.run.connection

    def _remove(self, now: Standing, older: compose.Composed, due: int, nulls: int) -> Work | None:
        planned = self._planned(due)
        verdict = guard.judge(
            self._connection, self.rule, planned, now=datetime.now(UTC), at_cutoff=lambda _: planned
        )
        self._note(planned, verdict)
        if not verdict.allowed:
            return Work(verdict.message, due, plan=verdict.plan)
        self.approval = verdict.approval or self.approval
        self._removed = 0
        with self._remover(verdict.planned) as (remover, seconds):
            for walk in self._walks(now, older, nulls):
                sweep = Batches(replace(self.run, planned=due), walk, remover, BatchSize(walk.sizes, seconds))
                reason = sweep.work_through()
                self._removed += sweep.removed
                if reason != COMPLETED:
                    return Work(reason, self._orphans(now, older) + self._nulls(older))
        self.left = self._orphans(now, older) + self._nulls(older) if self._removed < due else 0
        return None

    def _planned(self, due: int) -> DeletePlan:
        child = self.reference.child
        total = catalog.live_tuples(self._connection, child)
        if total < due or catalog.size(self._connection, child) <= COUNT_EXACTLY_BYTES:
            total = reference.rows(self._connection, self.reference, EVERYTHING)
        total = max(due, total)
        rows = RowCount(due, total)
        return DeletePlan(
            policy=self.rule.name,
            method=Method("missing parents"),
            rows=rows,
            needs_approval=guard.reasons(self._connection, self.rule, rows, None, now=datetime.now(UTC)),
        )

    def _note(self, planned: DeletePlan, verdict: guard.GuardResult[DeletePlan]) -> None:
        values = {
            "id": self.run.record.id,
            "planned": planned.rows.eligible,
            "details": Jsonb(dict(verdict.details or {})),
        }
        self._connection.execute(sql.get("maintenance/orphans/note_planned"), values)

    @contextmanager
    def _remover(self, planned: DeletePlan) -> Iterator[tuple[Action, float]]:
        """What removes the children, and how many seconds a batch of it should take."""
        child = self.reference.child
        if self.rule.archive:
            with archive_and_delete.opened(self.run, self.rule, child, planned, self.settings) as remover:
                yield remover, self.settings.archive_batch_target_seconds
        else:
            yield Delete(self._connection, self.run.record, child), self.settings.batch_target_seconds

    def _walks(self, now: Standing, older: compose.Composed, nulls: int) -> Iterator[Scan]:
        """The ways to what may go, each of which is gone before the next is asked for."""
        marked = and_(_ripe(now), compose.SQL("missing.places IS NOT NULL"))
        if (orphans := self._children(marked)) > 0:
            yield MarkedOrphans(self._connection, self.reference, marked, older)
            if self._removed < orphans:
                self._look_for_moved(marked)
        if self.reference.child_index is not None:
            by_index = compose.SQL("missing.rows <= {}").format(compose.Literal(MANY_CHILDREN))
            keys_only = and_(_ripe(now), compose.SQL("missing.places IS NULL"))
            yield MissingParents(self._connection, self.reference, and_(keys_only, by_index), older)
            many = and_(keys_only, compose.SQL("NOT {}").format(by_index))
            if self._children(many) > 0:
                goes = and_(older, self.reference.missing)
                yield MissingParentsByBlocks(self._connection, self.reference, many, goes)
        if nulls:
            yield NullReferences(self._connection, self.reference, older)

    def _look_for_moved(self, marked: compose.Composable) -> None:
        """Some were not where they had been seen: those that were changed since are looked for by index.

        Without an index the next sweep finds them again.
        """
        if self.reference.child_index is None:
            return
        statement = compose.SQL(sql.get("maintenance/orphans/moved")).format(
            listed=marked,
            keys=listed(self.reference.keys),
            arrays=self.reference.unnested,
            child=self.reference.child.identifier,
            same_key=self.reference.same_key,
            key_missing=self.reference.key_missing,
            gathered=self.reference.gathered,
        )
        self._connection.execute(statement, {"policy": self.rule.name})

    def _children(self, which: compose.Composable) -> int:
        """How many children the missing parents listed in those rows have."""
        statement = compose.SQL(sql.get("maintenance/orphans/children")).format(listed=which)
        return int(scalar(self._connection, statement, {"policy": self.rule.name}))

    def _count_recorded(self) -> None:
        """Counts the children of recorded parents, by which the walk sizes its windows."""
        if self.reference.child_index is None:
            return
        statement = compose.SQL(sql.get("maintenance/orphans/count_children")).format(
            arrays=self.reference.unnested,
            keys=listed(self.reference.keys),
            child=self.reference.child.identifier,
            same_key=self.reference.same_key,
        )
        some = {"policy": self.rule.name, "size": COUNTED_AT_ONCE}
        while ids := [
            id_ for (id_,) in self._connection.execute(sql.get("maintenance/orphans/uncounted"), some)
        ]:
            if self.run.stop() is not None:
                return
            self._connection.execute(statement, {"policy": self.rule.name, "ids": ids})

    def _orphans(self, now: Standing, older: compose.Composable) -> int:
        """Listed orphans whose grace is over and that may go, each once: sweep and record list many twice.

        Guard, approval and history share this number; the conditions are the plan's.
        """
        if now.ripe is None:
            return 0
        return self._count(self._listed(_ripe(now)), older, self.reference.missing)

    def _nulls(self, older: compose.Composable) -> int:
        if not self.rule.null_is_orphan:
            return 0
        return self._count(self.reference.refers_to_nobody, older)

    def _listed(self, which: compose.Composable) -> compose.Composed:
        children = self.reference.refers_to(which)
        # IS TRUE keeps PostgreSQL from making a join of it, which is the better plan only with an index.
        return compose.SQL("({})" if self.reference.child_index else "({}) IS TRUE").format(children)

    def _count(self, *conditions: compose.Composable) -> int:
        """How many children meet them that no hold and no row that stays keeps."""
        child = self.reference.child
        free = (
            holds.exclusion(holds.active(self._connection, child)),
            references.unreferenced(self._connection, child),
        )
        return reference.rows(self._connection, self.reference, and_(*conditions, *free))

    def _settle(self, now: Standing) -> None:
        """Forgets what was looked at. What a sweep had found is found again; the record is asked again."""
        values = {"policy": self.rule.name, "by": now.by}
        self._connection.execute(sql.get("maintenance/orphans/forget_swept"), values)
        if self.reference.child_index is not None:
            track.settle(self._connection, self.reference, now.by)
        grace_period.forget(self._connection, self.rule, now.by)


def _ripe(now: Standing) -> compose.Composed:
    return compose.SQL("missing.keys IS NOT NULL AND missing.since <= {}").format(compose.Literal(now.by))


def _young(now: Standing) -> compose.Composed:
    return compose.SQL("missing.keys IS NOT NULL AND missing.since > {}").format(compose.Literal(now.by))

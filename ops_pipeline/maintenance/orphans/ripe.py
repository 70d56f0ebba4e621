"""The children removed whose grace is over."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from psycopg import sql as compose
from psycopg.types.json import Jsonb

import sql
from ops_pipeline import policy
from ops_pipeline.database import Connection, scalar
from ops_pipeline.maintenance import catalog, guard, holds, references
from ops_pipeline.maintenance.orphans import grace, reference, track
from ops_pipeline.maintenance.orphans.grace import Standing
from ops_pipeline.maintenance.orphans.reference import Reference
from ops_pipeline.maintenance.orphans.windows import (
    MarkedOrphans,
    MissingParents,
    MissingParentsByBlocks,
    NullReferences,
)
from ops_pipeline.maintenance.pace import Pace
from ops_pipeline.maintenance.planned import Planned
from ops_pipeline.maintenance.removal import Remover, archiving
from ops_pipeline.maintenance.removal.deleting import Deleting
from ops_pipeline.maintenance.result import COMPLETED, Work
from ops_pipeline.maintenance.sweep import Run, Sweep
from ops_pipeline.maintenance.windows import Walk, both, listed
from ops_pipeline.settings import Settings

MANY_CHILDREN = 100_000
"""From so many children of one row of missing parents on they are looked for block by block."""
COUNTED_AT_ONCE = 20
"""Recorded rows, of up to a thousand keys each, whose children one statement counts."""
COUNT_EXACTLY_BYTES = 64 * 1024 * 1024
"""Up to this size a table's rows are counted for the guard; beyond it the statistics are close enough."""
APPROVED_AGAIN_SECONDS = 60.0

EVERYTHING = compose.SQL("true")
NOTHING = compose.SQL("false")


@dataclass(slots=True)
class Ripe:
    """Removes, each time it is asked, what has been missing for the grace by then."""

    run: Run
    rule: policy.Orphans
    reference: Reference
    settings: Settings
    left: int = 0
    approval: str | None = None
    _removed: int = 0

    def remove(self) -> Work | None:
        """Removes what may go. None: all of it is gone that could; else how the run ends."""
        self._count_recorded()
        now = grace.standing(self._connection, self.rule)
        older = grace.old_enough(self._connection, self.reference, now.by)
        if older is None:
            return None
        nulls = self._nulls(older) if self.rule.null_is_orphan else 0
        if now.ripe is not None and grace.others_at_work(self._connection, now.ripe) is not None:
            return None
        due = now.ripe_rows + nulls
        if due > 0 and (ended := self._remove(now, older, due, nulls)) is not None:
            return ended
        self._settle(now)
        return None

    def done(self) -> Work:
        """The end of a run that was not stopped. What is due and waits for a transaction is left as well."""
        waiting = grace.standing(self._connection, self.rule).ripe_rows
        return Work(COMPLETED, self.left + waiting, approval=self.approval)

    @property
    def _connection(self) -> Connection:
        return self.run.connection

    def _remove(self, now: Standing, older: compose.Composed, due: int, nulls: int) -> Work | None:
        planned = self._planned(due)
        verdict = guard.judge(
            self._connection, self.rule, planned, now=datetime.now(UTC), limit_seconds=APPROVED_AGAIN_SECONDS
        )
        self._note(planned, verdict)
        if not verdict.allowed:
            return Work(verdict.message, due, plan=verdict.plan)
        self.approval = verdict.approval or self.approval
        self._removed = 0
        with self._remover(verdict.planned) as (remover, seconds):
            for walk in self._walks(now, older, nulls):
                sweep = Sweep(replace(self.run, planned=due), walk, remover, Pace(walk.sizes, seconds))
                reason = sweep.work_through()
                self._removed += sweep.removed
                if reason != COMPLETED:
                    return Work(reason, self._still_there(now, older))
        self.left = self._still_there(now, older) if self._removed < due else 0
        return None

    def _planned(self, due: int) -> Planned:
        child = self.reference.child
        total = max(due, catalog.live_tuples(self._connection, child))
        if catalog.size(self._connection, child) <= COUNT_EXACTLY_BYTES:
            total = reference.rows(self._connection, self.reference, EVERYTHING)
        fraction = min(1.0, due / total) if total else 0.0
        return Planned(self.rule.name, due, total, fraction, "missing parents")

    def _note(self, planned: Planned, verdict: guard.Verdict) -> None:
        values = {
            "id": self.run.record.id,
            "planned": planned.eligible,
            "details": Jsonb(dict(verdict.details or {})),
        }
        self._connection.execute(sql.get("orphans/note_planned"), values)

    @contextmanager
    def _remover(self, planned: Planned) -> Iterator[tuple[Remover, float]]:
        """What removes the children, and how many seconds a batch of it should take."""
        child = self.reference.child
        if self.rule.archive:
            with archiving.opened(self.run, self.rule, child, planned, self.settings) as remover:
                yield remover, self.settings.archive_batch_target_seconds
        else:
            yield Deleting(self._connection, self.run.record, child), self.settings.batch_target_seconds

    def _walks(self, now: Standing, older: compose.Composed, nulls: int) -> Iterator[Walk]:
        """The ways to what may go, each of which is gone before the next is asked for."""
        marked = both(_ripe(now), compose.SQL("missing.places IS NOT NULL"))
        if (orphans := self._children(marked)) > 0:
            yield MarkedOrphans(self._connection, self.reference, marked, older)
            if self._removed < orphans:
                self._look_for_moved(marked)
        if self.reference.child_index is not None:
            by_index = compose.SQL("missing.rows <= {}").format(compose.Literal(MANY_CHILDREN))
            keys_only = both(_ripe(now), compose.SQL("missing.places IS NULL"))
            yield MissingParents(self._connection, self.reference, both(keys_only, by_index), older)
            many = both(keys_only, compose.SQL("NOT {}").format(by_index))
            if self._children(many) > 0:
                goes = both(older, self.reference.missing)
                yield MissingParentsByBlocks(self._connection, self.reference, many, goes)
        if nulls:
            yield NullReferences(self._connection, self.reference, older)

    def _look_for_moved(self, marked: compose.Composable) -> None:
        """Some were not where they had been seen: those that were changed since are looked for by index.

        Without an index the next sweep finds them again.
        """
        if self.reference.child_index is None:
            return
        statement = compose.SQL(sql.get("orphans/moved")).format(
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
        statement = compose.SQL(sql.get("orphans/children")).format(listed=which)
        return int(scalar(self._connection, statement, {"policy": self.rule.name}))

    def _nulls(self, older: compose.Composed) -> int:
        return reference.rows(self._connection, self.reference, both(self.reference.refers_to_nobody, older))

    def _count_recorded(self) -> None:
        """Counts the children of recorded parents, by which the guard judges."""
        if self.reference.child_index is None:
            return
        statement = compose.SQL(sql.get("orphans/count_children")).format(
            arrays=self.reference.unnested,
            keys=listed(self.reference.keys),
            child=self.reference.child.identifier,
            same_key=self.reference.same_key,
        )
        some = {"policy": self.rule.name, "size": COUNTED_AT_ONCE}
        while ids := [id_ for (id_,) in self._connection.execute(sql.get("orphans/uncounted"), some)]:
            if self.run.stop() is not None:
                return
            self._connection.execute(statement, {"policy": self.rule.name, "ids": ids})

    def _still_there(self, now: Standing, older: compose.Composed) -> int:
        """Orphans that may go and are still there: they were locked, or the run stopped."""
        child = self.reference.child
        due = both(self.reference.refers_to(_ripe(now)), older, self.reference.missing)
        if self.rule.null_is_orphan:
            nulls = both(self.reference.refers_to_nobody, older)
            due = compose.SQL("(({}) OR ({}))").format(due, nulls)
        free = both(
            due,
            holds.exclusion(holds.active(self._connection, child)),
            references.kept_back(self._connection, child),
        )
        return reference.rows(self._connection, self.reference, free)

    def _settle(self, now: Standing) -> None:
        """Forgets what was looked at. What a sweep had found is found again; the record is asked again."""
        values = {"policy": self.rule.name, "by": now.by}
        self._connection.execute(sql.get("orphans/forget_swept"), values)
        if self.reference.child_index is not None:
            track.settle(self._connection, self.reference, now.by)
        grace.forget(self._connection, self.rule, now.by)


def _ripe(now: Standing) -> compose.Composed:
    return compose.SQL("missing.keys IS NOT NULL AND missing.since <= {}").format(compose.Literal(now.by))

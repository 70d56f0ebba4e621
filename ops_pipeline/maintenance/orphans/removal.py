"""Deletes the listed orphans whose grace period is over."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from psycopg import sql as compose
from psycopg.types.json import Jsonb

import sql
from ops_pipeline.maintenance import circled_holds, references, remaining
from ops_pipeline.maintenance.batches.actions.deletion import deleting
from ops_pipeline.maintenance.batches.batch import Batches, PolicyRun
from ops_pipeline.maintenance.batches.scans import Scan, and_, listed
from ops_pipeline.maintenance.guard import guard
from ops_pipeline.maintenance.orphans import grace_period, track
from ops_pipeline.maintenance.orphans.chain import list_descendants
from ops_pipeline.maintenance.orphans.grace_period import GraceStatus, grace_status, missing_since
from ops_pipeline.maintenance.orphans.plan import orphan_counter, plan_removal
from ops_pipeline.maintenance.orphans.policy import Orphans
from ops_pipeline.maintenance.orphans.reference import Reference
from ops_pipeline.maintenance.orphans.scans import (
    MarkedOrphans,
    MissingParents,
    MissingParentsByBlocks,
    NullReferences,
)
from ops_pipeline.maintenance.plan import DeletePlan, Planning
from ops_pipeline.maintenance.result import COMPLETED, Work, refuse
from ops_pipeline.postgres.connection import Connection, scalar
from ops_pipeline.settings import Settings

MANY_CHILDREN = 100_000
"""Missing parents with more children than this (in one row of the list) are handled by a block-range scan."""
COUNTED_AT_ONCE = 20
"""How many recorded rows, each with up to a thousand keys, one statement counts the children of."""


@dataclass(slots=True)
class OrphanRemoval:
    """Each call of `remove` deletes the children whose parents have been missing for the grace period."""

    run: PolicyRun
    policy: Orphans
    reference: Reference
    settings: Settings
    planning: Planning
    remaining: int = 0
    approval: str | None = None
    _removed: int = 0
    _removed_before: int = 0
    _waiting: int = 0
    _waits_for: str = ""

    def remove(self) -> Work | None:
        """Deletes the orphans that may be deleted. None: all of them were; else how the run ends."""
        self._waiting = 0
        self._count_recorded()
        grace = grace_status(self._connection, self.policy)
        older = grace_period.old_enough(self._connection, self.reference, grace.cutoff)
        if older is None:
            return None
        nulls = self._nulls(older)
        since = grace.newest_over
        if since is not None and (others := grace_period.others_at_work(self._connection, since)) is not None:
            self._waiting, self._waits_for = self._orphans(grace, references.EVERYTHING) + nulls, others
            return None
        deletable = self._orphans(grace, older) + nulls
        if deletable > 0 and (ended := self._remove(grace, older, deletable, nulls)) is not None:
            return ended
        self._settle(grace)
        return None

    def completed(self) -> Work:
        """The end of a run that was not stopped. It is done when no orphan remains whose grace period is
        over: none that locks or triggers kept, and none that waits for a transaction that was open when its
        parent was found missing."""
        child = self.reference.child
        if self.remaining:
            reason = remaining.reason(self._connection, self.policy.name, child, self.remaining, "orphaned")
            return Work(reason, self.remaining, approval=self.approval)
        if self._waiting:
            reason = f"{remaining.rows_remain(child, self._waiting, 'orphaned')}: {self._waits_for}"
            return Work(reason, self._waiting, approval=self.approval)
        return Work(COMPLETED, 0, approval=self.approval)

    def within_grace_period(self) -> int:
        """How many listed orphans are within the grace period."""
        grace = grace_status(self._connection, self.policy)
        if grace.newest_within is None:
            return 0
        listed_now = self._listed(missing_since(">", grace))
        return self._count(and_(listed_now, self.reference.missing), references.EVERYTHING)

    @property
    def _connection(self) -> Connection:
        return self.run.connection

    def _remove(self, grace: GraceStatus, older: compose.Composed, deletable: int, nulls: int) -> Work | None:
        known = circled_holds.known(self._connection, self.reference.child)
        counter = orphan_counter(self._connection, self.reference, self.reference.orphaned)
        planned = plan_removal(self.planning, self.policy, counter, deletable, self._removed_before)
        refuse(planned.refusals)
        verdict = guard.judge(
            self._connection, self.policy, planned, now=datetime.now(UTC), deleted=self._removed_before
        )
        self._save_planned(verdict)
        if not verdict.allowed:
            return Work(verdict.message, deletable, plan=verdict.plan)
        self.approval = verdict.approval or self.approval
        self._removed = 0
        child = self.reference.child
        with deleting(self.run, self.policy, child, verdict.planned, known, self.settings) as deletion:
            deletable_now = self._over(grace, older)
            if self.policy.null_is_orphan:
                deletable_now = compose.SQL("({}) OR ({})").format(deletable_now, self._null(older))
            list_descendants(self._connection, self.reference, deletable_now, older, grace.cutoff)
            for scan in self._scans(grace, older, nulls):
                batch_size = deletion.batch_size(scan.sizes)
                batches = Batches(replace(self.run, planned=deletable), scan, deletion.action, batch_size)
                reason = batches.work_through()
                self._removed += batches.removed
                if self.run.pause.seen is not None:  # counting would read the tables
                    return Work(reason, None)
                if reason != COMPLETED:
                    return Work(reason, self._orphans(grace, older) + self._nulls(older))
        self.remaining = self._orphans(grace, older) + self._nulls(older) if self._removed < deletable else 0
        self._removed_before += self._removed
        return None

    def _save_planned(self, verdict: guard.GuardResult[DeletePlan]) -> None:
        values = {
            "id": self.run.record.id,
            "planned": verdict.planned.rows.eligible,
            "details": Jsonb(dict(verdict.details or {})),
        }
        self._connection.execute(sql.get("maintenance/orphans/save_planned"), values)

    def _scans(self, grace: GraceStatus, older: compose.Composed, nulls: int) -> Iterator[Scan]:
        """The scans for what may be deleted. Each one is finished before the next is created."""
        over = missing_since("<=", grace)
        marked = and_(over, compose.SQL("missing.places IS NOT NULL"))
        if (orphans := self._children(marked)) > 0:
            yield MarkedOrphans(self._connection, self.reference, marked, older)
            if self._removed < orphans:
                self._look_for_moved(marked)
        if nulls:
            yield NullReferences(self._connection, self.reference, older)
        keys_only = and_(over, compose.SQL("missing.places IS NULL"))
        yield from self._scans_by_key(keys_only, older)
        removed = 0
        while self.reference.refers_to_itself and self._removed > removed:
            removed = self._removed
            yield from self._scans_by_key(keys_only, older)

    def _scans_by_key(self, keys_only: compose.Composable, older: compose.Composed) -> Iterator[Scan]:
        """The scans for the children of parents that are listed by key, without the children's ctids."""
        deletable = and_(older, self.reference.missing)
        if self.reference.child_index is None:
            if self._children(keys_only) > 0:
                yield MissingParentsByBlocks(self._connection, self.reference, keys_only, deletable)
            return
        by_index = compose.SQL("missing.rows <= {}").format(compose.Literal(MANY_CHILDREN))
        yield MissingParents(self._connection, self.reference, and_(keys_only, by_index), older)
        many = and_(keys_only, compose.SQL("NOT {}").format(by_index))
        if self._children(many) > 0:
            yield MissingParentsByBlocks(self._connection, self.reference, many, deletable)

    def _look_for_moved(self, marked: compose.Composable) -> None:
        """Finds, by index, marked orphans that were updated since and so have another ctid.

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
        self._connection.execute(statement, {"policy": self.policy.name})

    def _children(self, which: compose.Composable) -> int:
        """How many children the missing parents have that are listed in those rows."""
        statement = compose.SQL(sql.get("maintenance/orphans/children")).format(listed=which)
        return int(scalar(self._connection, statement, {"policy": self.policy.name}))

    def _count_recorded(self) -> None:
        """Counts the children of recorded parents, for the scan's range sizes."""
        if self.reference.child_index is None:
            return
        statement = compose.SQL(sql.get("maintenance/orphans/count_children")).format(
            arrays=self.reference.unnested,
            keys=listed(self.reference.keys),
            child=self.reference.child.identifier,
            same_key=self.reference.same_key,
        )
        some = {"policy": self.policy.name, "size": COUNTED_AT_ONCE}
        uncounted = sql.get("maintenance/orphans/uncounted")
        while ids := [row_id for (row_id,) in self._connection.execute(uncounted, some)]:
            if self.run.stopped() is not None:
                return
            self._connection.execute(statement, {"policy": self.policy.name, "ids": ids})

    def _orphans(self, grace: GraceStatus, older: compose.Composable) -> int:
        """Deletable listed orphans whose grace period is over, each counted once: sweep and record may both
        list an orphan.

        Guard, approval and history share this number; the conditions are the plan's.
        """
        if grace.newest_over is None:
            return 0
        return self._count(self._over(grace, older), older)

    def _over(self, grace: GraceStatus, older: compose.Composable) -> compose.Composed:
        """The row is a listed orphan whose grace period is over."""
        return and_(self._listed(missing_since("<=", grace)), older, self.reference.missing)

    def _nulls(self, older: compose.Composable) -> int:
        if not self.policy.null_is_orphan:
            return 0
        return self._count(self._null(older), older)

    def _null(self, older: compose.Composable) -> compose.Composed:
        return and_(self.reference.refers_to_nothing, older)

    def _listed(self, which: compose.Composable) -> compose.Composed:
        children = self.reference.refers_to(which)
        # IS TRUE prevents PostgreSQL from planning it as a join, which is better only with an index.
        return compose.SQL("({})" if self.reference.child_index else "({}) IS TRUE").format(children)

    def _count(self, condition: compose.Composable, older: compose.Composable) -> int:
        """How many deletable children meet it, or become orphans when those are deleted."""
        return orphan_counter(self._connection, self.reference, condition, older).eligible()

    def _settle(self, grace: GraceStatus) -> None:
        """Deletes the list entries that were worked through. The next sweep finds what remains; recorded keys
        that still have orphans are kept."""
        values = {"policy": self.policy.name, "by": grace.cutoff}
        self._connection.execute(sql.get("maintenance/orphans/forget_swept"), values)
        if self.reference.child_index is not None:
            track.settle_recorded(self._connection, self.reference, grace.cutoff)
        grace_period.forget_horizons(self._connection, self.policy, grace.cutoff)

"""Runs an orphans policy: finds missing parents, waits for the grace period, deletes their children."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import sql
from ops_pipeline.counted import counted
from ops_pipeline.maintenance import refusals
from ops_pipeline.maintenance.batches.batch import Batches, PolicyRun, saved_position
from ops_pipeline.maintenance.orphans import grace_period, track
from ops_pipeline.maintenance.orphans.mark import TARGET_SECONDS, Mark, Search, choose_search
from ops_pipeline.maintenance.orphans.plan import plan_orphans
from ops_pipeline.maintenance.orphans.policy import Orphans
from ops_pipeline.maintenance.orphans.reference import Reference, check_holds, find_reference
from ops_pipeline.maintenance.orphans.removal import OrphanRemoval
from ops_pipeline.maintenance.orphans.track import MissingParentSource
from ops_pipeline.maintenance.plan import RUN_LIMIT_SECONDS, Planning
from ops_pipeline.maintenance.reach import reach
from ops_pipeline.maintenance.result import COMPLETED, Work, refuse
from ops_pipeline.postgres import catalog
from ops_pipeline.postgres.connection import Connection, scalar
from ops_pipeline.settings import Settings
from ops_pipeline.throttle.batch_size import BatchSize


def run_orphans(run: PolicyRun, policy: Orphans, settings: Settings) -> Work:
    """Deletes the children that have been without a parent for the grace period and still are.

    Orphans that an earlier run marked are deleted first, unless the guard stops it. Then the parents that are
    missing now are listed, from the record of deleted parents or by a sweep of the whole table; where the
    grace period ends within a minute, their children are deleted in the same run. A child that was written or
    changed within the grace period is never deleted. Raises HoldUnclearError before anything is done.
    """
    reference = find_reference(run.connection, policy)
    refusals.refuse_hidden_rows(run.connection, policy, reference.child, reference.parent)
    planning = Planning(run.connection, RUN_LIMIT_SECONDS, settings.archive_url)
    refuse(_refusals(planning, policy, reference))
    check_holds(run.connection, reference)
    dead_before = catalog.dead_tuples(run.connection, reference.child)
    removal = OrphanRemoval(run, policy, reference, settings, planning)
    cleanup = _Cleanup(run, policy, reference, removal, choose_search(run.connection, reference))
    work = cleanup.work()
    return replace(
        work,
        dead_tuples_before=dead_before,
        dead_tuples_after=catalog.dead_tuples(run.connection, reference.child),
        # Counting reads the tables, which a pause is meant to spare.
        details={
            **cleanup.details,
            **({} if run.pause.seen else {"within_grace_period": removal.within_grace_period()}),
        },
    )


def _refusals(planning: Planning, policy: Orphans, reference: Reference) -> Sequence[str]:
    """The plan's refusals. All orphans are counted for that, which is slow, only where deletes cascade."""
    if reach(planning.connection, reference.child).cascaded:
        return plan_orphans(planning, policy).refusals
    return tuple(refusals.table_refusals(planning, policy, reference.child, reference.parent))


@dataclass(slots=True)
class _Cleanup:
    """One run of the policy: deletes what was marked before, lists what is missing now, deletes that too."""

    run: PolicyRun
    policy: Orphans
    reference: Reference
    removal: OrphanRemoval
    search: Search
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def connection(self) -> Connection:
        return self.run.connection

    def work(self) -> Work:
        grace_period.record_horizon(self.connection, self.policy)
        interrupted = saved_position(self.run, self.search.children) is not None
        if interrupted:
            rest = MissingParentSource("sweep", "an earlier run did not finish its sweep", begins=False)
            if (reason := self._sweep(rest)) != COMPLETED:
                return Work(reason, None)
        if (ended := self.removal.remove()) is not None:
            return ended
        if not interrupted and not self._was_swept():
            source = track.missing_parent_source(self.connection, self.policy, self.reference)
            self._save_method(source)
            if source.name == "sweep" and (reason := self._sweep(source)) != COMPLETED:
                return Work(reason, None)
        waits_for = grace_period.over_in_time(self.run, self.policy)
        if (paused := self.run.pause.reason()) is not None:
            return Work(paused, None)
        if waits_for is not None:
            self.details["waits_for"] = waits_for
            self.run.report(f"{self.policy.name}: orphans remain for the next run, because {waits_for}")
        return self.removal.remove() or self.removal.completed()

    def _was_swept(self) -> bool:
        statement = sql.get("maintenance/orphans/swept")
        return bool(scalar(self.connection, statement, {"policy": self.policy.name}))

    def _sweep(self, source: MissingParentSource) -> str:
        """Lists the orphans by a sweep of the whole table; returns why it ended."""
        if source.begins:
            track.begin_sweep(self.connection, self.policy, source)
        scan = self.search.children
        mark = Mark(self.connection, self.run.record, self.reference, self.search.by_key)
        batch_size = BatchSize(scan.sizes.within(self.policy.throttle), TARGET_SECONDS)
        batches = Batches(self.run, scan, mark, batch_size, verb="marked", once=True)
        if (reason := batches.work_through()) != COMPLETED:
            return reason
        grace_period.record_horizon(self.connection, self.policy)
        self.details |= track.end_sweep(self.connection, self.policy, self.reference)
        if unrecorded := self.details.get("unrecorded"):
            self.run.report(
                f"{self.policy.name}: the sweep found {counted(unrecorded, 'missing parent')} that the "
                f"triggers on {self.reference.parent} had not recorded"
            )
        return COMPLETED

    def _save_method(self, source: MissingParentSource) -> None:
        self.details |= {"source": source.name, "source_reason": source.reason}
        method = f"record of deleted parents: {source.reason}"
        if source.name == "sweep":
            method = f"{self.search.children.name}: {self.search.why}"
        values = {"id": self.run.record.id, "method": method}
        self.connection.execute(sql.get("maintenance/orphans/save_method"), values)

"""An orphans policy carried out."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import sql
from ops_pipeline.maintenance import references, refusals
from ops_pipeline.maintenance.batches.batch import Batches, Run
from ops_pipeline.maintenance.orphans import grace_period, reference, track
from ops_pipeline.maintenance.orphans.mark import TARGET_SECONDS, Marking, Search, search
from ops_pipeline.maintenance.orphans.plan import plan_orphans
from ops_pipeline.maintenance.orphans.policy import Orphans
from ops_pipeline.maintenance.orphans.reference import Reference
from ops_pipeline.maintenance.orphans.removal import OrphanRemoval
from ops_pipeline.maintenance.orphans.track import Source
from ops_pipeline.maintenance.plan import Planning
from ops_pipeline.maintenance.result import COMPLETED, Work, refuse
from ops_pipeline.postgres import catalog
from ops_pipeline.postgres.connection import Connection, scalar
from ops_pipeline.settings import Settings
from ops_pipeline.throttle.batch_size import BatchSize

COUNT_SECONDS = 60.0
"""How long a run counts what its deletes would cascade into."""


def run_orphans(run: Run, rule: Orphans, settings: Settings) -> Work:
    """Removes the children that have been without a parent for the grace and still are.

    What an earlier run has marked goes first, if the guard lets it. Then the parents that are missing now
    are listed, from the record of deleted ones or by a sweep of the whole table; where the grace is over
    within a minute, their children go in the same run. A child that was written, or changed, within the
    grace never goes. Raises HoldUnclearError before anything is done.
    """
    found = reference.of(run.connection, rule)
    refusals.refuse_hidden_rows(run.connection, rule, found.child, found.parent)
    planning = Planning(run.connection, COUNT_SECONDS, settings.archive_url)
    refuse(rule.name, _refusals(planning, rule, found))
    reference.check_holds(run.connection, found)
    before = catalog.dead_tuples(run.connection, found.child)
    night = _Night(run, rule, found, OrphanRemoval(run, rule, found, settings))
    work = night.work()
    return replace(
        work,
        dead_tuples_before=before,
        dead_tuples_after=catalog.dead_tuples(run.connection, found.child),
        details={**night.details, "in_grace": night.ripe.in_grace()},
    )


def _refusals(planning: Planning, policy: Orphans, found: Reference) -> Sequence[str]:
    """As the plan has them; a count of all orphans, which is dear, only where their deletion may cascade."""
    if references.cascades(planning.connection, found.child):
        return plan_orphans(planning, policy).refusals
    return tuple(refusals.of_tables(planning, policy, found.child, found.parent))


@dataclass(slots=True)
class _Night:
    run: Run
    rule: Orphans
    reference: Reference
    ripe: OrphanRemoval
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def connection(self) -> Connection:
        return self.run.connection

    def work(self) -> Work:
        grace_period.tick(self.connection, self.rule)
        by = search(self.connection, self.reference)
        interrupted = self._is_interrupted(by)
        if interrupted:
            rest = Source("sweep", "an earlier run had begun it", begins=False)
            if (reason := self._sweep(by, rest)) != COMPLETED:
                return Work(reason, None)
        if (ended := self.ripe.remove()) is not None:
            return ended
        if not interrupted and not self._was_swept():
            source = track.source(self.connection, self.rule, self.reference)
            self._note(by, source)
            if source.name == "sweep" and (reason := self._sweep(by, source)) != COMPLETED:
                return Work(reason, None)
        if (waits_for := grace_period.over_in_time(self.run, self.rule)) is not None:
            self.details["waits_for"] = waits_for
            self.run.report(f"{self.rule.name}: orphans are left for the next run, because {waits_for}")
            return self.ripe.done()
        return self.ripe.remove() or self.ripe.done()

    def _is_interrupted(self, by: Search) -> bool:
        values = {"policy": self.rule.name, "walk": by.children.name}
        return (
            self.connection.execute(sql.get("maintenance/batches/load_position"), values).fetchone()
            is not None
        )

    def _was_swept(self) -> bool:
        return bool(scalar(self.connection, sql.get("maintenance/orphans/swept"), {"policy": self.rule.name}))

    def _sweep(self, by: Search, source: Source) -> str:
        """Lists the orphans there are; says why it ended."""
        if source.begins:
            track.sweep_begins(self.connection, self.rule, source)
        marking = Marking(self.connection, self.run.record, self.reference, by.by_key)
        pace = BatchSize(by.children.sizes, TARGET_SECONDS)
        sweep = Batches(self.run, by.children, marking, pace, deed="marked", once=True)
        if (reason := sweep.work_through()) != COMPLETED:
            return reason
        grace_period.tick(self.connection, self.rule)
        self.details |= track.sweep_ended(self.connection, self.rule, self.reference)
        if unrecorded := self.details.get("unrecorded"):
            self.run.report(
                f"{self.rule.name}: the sweep found {unrecorded:,} missing parents that "
                f"{self.reference.parent} had not recorded"
            )
        return COMPLETED

    def _note(self, by: Search, source: Source) -> None:
        self.details["source"] = source.name
        self.details["source_reason"] = source.reason
        if source.name == "sweep":
            method = f"{by.children.name}: {by.why}"
        else:
            method = f"record of deleted parents: {source.reason}"
        self.connection.execute(
            sql.get("maintenance/orphans/note_method"), {"id": self.run.record.id, "method": method}
        )

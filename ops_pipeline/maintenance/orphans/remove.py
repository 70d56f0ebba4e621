"""An orphans policy carried out."""

from dataclasses import dataclass, field, replace
from typing import Any

import sql
from ops_pipeline import policy
from ops_pipeline.database import Connection, scalar
from ops_pipeline.maintenance import catalog
from ops_pipeline.maintenance.orphans import grace, reference, track
from ops_pipeline.maintenance.orphans.marking import TARGET_SECONDS, Marking, Search, search
from ops_pipeline.maintenance.orphans.reference import Reference
from ops_pipeline.maintenance.orphans.ripe import Ripe
from ops_pipeline.maintenance.orphans.track import Source
from ops_pipeline.maintenance.pace import Pace
from ops_pipeline.maintenance.result import COMPLETED, Work
from ops_pipeline.maintenance.sweep import Run, Sweep
from ops_pipeline.settings import Settings


def remove_orphans(run: Run, rule: policy.Orphans, settings: Settings) -> Work:
    """Removes the children that have been without a parent for the grace and still are.

    What an earlier run has marked goes first, if the guard lets it. Then the parents that are missing now
    are listed, from the record of deleted ones or by a sweep of the whole table; where the grace is over
    within a minute, their children go in the same run. A child that was written, or changed, within the
    grace never goes.
    """
    found = reference.of(run.connection, rule)
    before = catalog.dead_tuples(run.connection, found.child)
    night = _Night(run, rule, found, Ripe(run, rule, found, settings))
    work = night.work()
    now = grace.standing(run.connection, rule)
    return replace(
        work,
        dead_tuples_before=before,
        dead_tuples_after=catalog.dead_tuples(run.connection, found.child),
        details={**night.details, "in_grace": now.young_rows},
    )


@dataclass(slots=True)
class _Night:
    run: Run
    rule: policy.Orphans
    reference: Reference
    ripe: Ripe
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def connection(self) -> Connection:
        return self.run.connection

    def work(self) -> Work:
        grace.tick(self.connection, self.rule)
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
        if (waits_for := grace.over_in_time(self.run, self.rule)) is not None:
            self.details["waits_for"] = waits_for
            self.run.report(f"{self.rule.name}: orphans are left for the next run, because {waits_for}")
            return self.ripe.done()
        return self.ripe.remove() or self.ripe.done()

    def _is_interrupted(self, by: Search) -> bool:
        values = {"policy": self.rule.name, "walk": by.children.name}
        return self.connection.execute(sql.get("history/load_position"), values).fetchone() is not None

    def _was_swept(self) -> bool:
        return bool(scalar(self.connection, sql.get("orphans/swept"), {"policy": self.rule.name}))

    def _sweep(self, by: Search, source: Source) -> str:
        """Lists the orphans there are; says why it ended."""
        if source.begins:
            track.sweep_begins(self.connection, self.rule, source)
        marking = Marking(self.connection, self.run.record, self.reference, by.by_key)
        pace = Pace(by.children.sizes, TARGET_SECONDS)
        sweep = Sweep(self.run, by.children, marking, pace, deed="marked", once=True)
        if (reason := sweep.work_through()) != COMPLETED:
            return reason
        grace.tick(self.connection, self.rule)
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
        self.connection.execute(sql.get("orphans/note_method"), {"id": self.run.record.id, "method": method})

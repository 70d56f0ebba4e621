"""A retention policy carried out."""

from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from ops_pipeline import policy
from ops_pipeline.database import Connection
from ops_pipeline.maintenance import catalog, guard
from ops_pipeline.maintenance.guard import Verdict
from ops_pipeline.maintenance.pace import Pace
from ops_pipeline.maintenance.planned import Planned, plan_one
from ops_pipeline.maintenance.removal import Remover, archiving
from ops_pipeline.maintenance.removal.archiving import Archiving
from ops_pipeline.maintenance.removal.deleting import Deleting
from ops_pipeline.maintenance.result import RefusedError, Work
from ops_pipeline.maintenance.retention import days
from ops_pipeline.maintenance.retention.expired import cutoff, expired
from ops_pipeline.maintenance.sweep import Run, Sweep
from ops_pipeline.maintenance.windows import Walk
from ops_pipeline.maintenance.windows.blocks import BlockRanges
from ops_pipeline.maintenance.windows.keys import KeyWindows
from ops_pipeline.maintenance.windows.slices import TimeSlices
from ops_pipeline.settings import Settings

COUNT_SECONDS = 60.0
"""How long a run counts what is to go before PostgreSQL's own estimate has to do."""


def remove_expired(run: Run, rule: policy.Retention, settings: Settings) -> Work:
    """Removes the rows that are older than the rule keeps them, if the guard lets them go.

    Days that are partitions go whole, everything else row by row. A row stays that has no time, that
    somebody holds, or that other rows refer to. Raises RefusedError before anything is done.
    """
    connection = run.connection
    table = catalog.relation(connection, rule.table)
    undone = days.prepare(run, rule, table, cutoff(connection, rule))
    planned = plan_one(connection, rule, limit_seconds=COUNT_SECONDS)
    _refuse(rule, planned)
    verdict = guard.judge(connection, rule, planned, now=datetime.now(UTC), limit_seconds=COUNT_SECONDS)
    _note(run, verdict)
    if not verdict.allowed:
        return Work(verdict.message, planned.eligible, planned.oldest_row, plan=verdict.plan)
    dead_before = catalog.dead_tuples(connection, table)
    run = replace(run, planned=verdict.planned.eligible)
    stopped_reason = _remove(run, rule, table, verdict.planned, settings)
    after = plan_one(
        connection,
        rule,
        cutoff=verdict.planned.cutoff,
        limit_seconds=COUNT_SECONDS,
        after_removal=True,
    )
    details: dict[str, Any] = {"held": after.held, "referenced": after.referenced, "unset": after.unset}
    return Work(
        stopped_reason,
        after.eligible if after.exact else None,
        after.oldest_row,
        dead_before,
        catalog.dead_tuples(connection, table),
        approval=verdict.approval,
        details=details | ({"undone": undone} if undone else {}),
    )


def _refuse(rule: policy.Retention, planned: Planned) -> None:
    problems = list(planned.problems)
    if rule.archive and planned.cascades:
        problems.append(
            f"rows of {', '.join(planned.cascades)} would go along by ON DELETE CASCADE and not into the "
            "archive; give them a policy of their own and make the foreign key NO ACTION"
        )
    if problems:
        raise RefusedError(f"{rule.name}: {'; '.join(problems)}. Nothing was removed")


def _note(run: Run, verdict: Verdict) -> None:
    planned = verdict.planned
    run.record.note_plan(
        run.connection,
        cutoff=planned.cutoff,
        planned=planned.eligible,
        method=f"{planned.method}: {planned.why}",
        details=verdict.details or {},
    )


def _remove(
    run: Run, rule: policy.Retention, table: catalog.Relation, planned: Planned, settings: Settings
) -> str:
    """Whole days first, then rows; says why it ended."""
    with ExitStack() as stack:
        archive: Archiving | None = None
        if rule.archive:
            archive = stack.enter_context(archiving.opened(run, rule, table, planned, settings))
        if (reason := days.remove_days(run, table, rule.column, planned, archive)) is not None:
            return reason
        walk = _walk(run.connection, rule, table, planned)
        row_bytes = planned.bytes / max(1, planned.eligible)
        remover: Remover = archive or Deleting(run.connection, run.record, table, row_bytes)
        seconds = settings.archive_batch_target_seconds if archive else settings.batch_target_seconds
        return Sweep(run, walk, remover, Pace(walk.sizes, seconds)).work_through()


def _walk(connection: Connection, rule: policy.Retention, table: catalog.Relation, planned: Planned) -> Walk:
    before = planned.cutoff or cutoff(connection, rule)
    gone = expired(rule, before)
    if planned.method == "time slices":
        return TimeSlices(connection, table, rule.column, gone)
    if planned.method == "key windows":
        key = (rule.column, *catalog.primary_key(connection, table))
        return KeyWindows(connection, table, key, walked=gone, predicate=gone)
    heaps = [
        heap
        for heap in catalog.heaps(connection, table, rule.column)
        if heap.lower is None or heap.lower < before
    ]
    return BlockRanges(heaps, gone, rows=planned.total)

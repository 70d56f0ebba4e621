"""Runs a retention policy: drops expired partitions, then deletes expired rows in batches."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from ops_pipeline.maintenance import circled_holds, refusals, remaining
from ops_pipeline.maintenance.batches.actions.deletion import deleting
from ops_pipeline.maintenance.batches.batch import Batches, PolicyRun
from ops_pipeline.maintenance.circled_holds import KnownHolds
from ops_pipeline.maintenance.guard import guard
from ops_pipeline.maintenance.guard.guard import GuardResult
from ops_pipeline.maintenance.plan import RUN_LIMIT_SECONDS, Planning
from ops_pipeline.maintenance.result import COMPLETED, Work, refuse
from ops_pipeline.maintenance.retention import whole_partitions
from ops_pipeline.maintenance.retention.expired import cutoff_now
from ops_pipeline.maintenance.retention.method import scan_by
from ops_pipeline.maintenance.retention.plan import RetentionPlan, count_expired, plan_retention
from ops_pipeline.maintenance.retention.policy import Retention
from ops_pipeline.postgres import catalog
from ops_pipeline.postgres.relation import Relation, find_relation
from ops_pipeline.settings import Settings


def run_retention(run: PolicyRun, policy: Retention, settings: Settings) -> Work:
    """Deletes the rows that are older than the policy keeps them, unless that needs approval.

    Partitions whose rows have all expired are dropped whole; other expired rows are deleted row by row. Rows
    whose time is NULL or infinite, rows on hold, and rows that other rows refer to are kept. Raises
    RefusedError before anything is done.
    """
    connection = run.connection
    table = find_relation(connection, policy.table)
    refusals.refuse_hidden_rows(connection, policy, table)
    undone = whole_partitions.prepare(run, policy, table, cutoff_now(connection, policy))
    if (paused := run.pause.reason()) is not None:
        return Work(paused, None, details=_undone(undone))
    known = circled_holds.known(connection, table)
    planning = Planning(connection, RUN_LIMIT_SECONDS, settings.archive_url)
    plan = plan_retention(planning, policy)
    refuse(plan.refusals)
    verdict = guard.judge(
        connection,
        policy,
        plan,
        now=datetime.now(UTC),
        at_cutoff=lambda approved: plan_retention(planning, policy, approved),
    )
    _save_plan(run, verdict)
    if not verdict.allowed:
        return Work(verdict.message, plan.rows.eligible, plan.rows.oldest_row, plan=verdict.plan)
    plan = verdict.planned
    dead_before = catalog.dead_tuples(connection, table)
    stopped_reason = _delete(
        replace(run, planned=plan.rows.eligible), policy, table, plan, known, settings, undone
    )
    if run.pause.seen is not None:  # counting would read the table for up to a minute
        return Work(
            stopped_reason, None, dead_tuples_before=dead_before, approval=verdict.approval,
            details=_undone(undone),
        )  # fmt: skip
    after = count_expired(replace(planning, after_deletes=True), policy, plan.cutoff)
    if stopped_reason == COMPLETED and after.exact and after.eligible:
        stopped_reason = remaining.reason(connection, policy.name, table, after.eligible, "expired")
    details: dict[str, Any] = {
        "on_hold": after.on_hold,
        "referenced": after.referenced,
        "null": after.null,
    }
    return Work(
        stopped_reason,
        after.eligible if after.exact else None,
        after.oldest_row,
        dead_before,
        catalog.dead_tuples(connection, table),
        approval=verdict.approval,
        details=details | _undone(undone),
    )


def _undone(undone: list[str]) -> dict[str, Any]:
    return {"undone": undone} if undone else {}


def _save_plan(run: PolicyRun, verdict: GuardResult[RetentionPlan]) -> None:
    plan = verdict.planned
    run.record.save_plan(
        run.connection,
        cutoff=plan.cutoff,
        planned=plan.rows.eligible,
        method=f"{plan.method.name}: {plan.method.why}",
        details=verdict.details or {},
    )


def _delete(
    run: PolicyRun,
    policy: Retention,
    table: Relation,
    plan: RetentionPlan,
    known: KnownHolds,
    settings: Settings,
    undone: list[str],
) -> str:
    """Whole partitions first, then rows; returns why it ended. `undone` gets what could not be dropped."""
    with deleting(run, policy, table, plan, known, settings) as deletion:
        archiving = deletion.archiving
        reason = whole_partitions.remove(run, table, policy.column, plan, archiving, undone)
        if reason is not None:
            return reason
        scan = scan_by(plan.method, run.connection, policy, table, plan.cutoff, plan.rows.total)
        return Batches(run, scan, deletion.action, deletion.batch_size(scan.sizes)).work_through()

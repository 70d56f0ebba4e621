"""Deletes old runs from Dagster's database. What policies did is kept in `ops.maintenance_runs`."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import dagster as dg

from ops_pipeline import settings
from ops_pipeline.orchestration import run_ownership
from ops_pipeline.policies.model import Policies
from ops_pipeline.postgres.relation import our_table

KEY = dg.AssetKey(["dagster", "run_history_cleanup"])
PAGE = 200
LONGEST_SECONDS = 900.0
"""How long one cleanup may take; the next one continues with the remaining runs."""


@dataclass(frozen=True, slots=True)
class Keep:
    """How long runs are kept after they were created; None: forever."""

    ours: timedelta | None
    others: timedelta | None


@dataclass(frozen=True, slots=True)
class Pruned:
    """How many runs were deleted, and whether all old runs were."""

    ours: int
    others: int
    complete: bool


def definitions(policies: Policies) -> dg.Definitions:
    """The cleanup asset, part of every nightly job."""

    @dg.asset(
        key=KEY,
        group_name="dagster",
        kinds={"dagster"},
        description="Deletes old runs and their events from **Dagster's own database**, which otherwise "
        f"grows without limit. What each policy did is kept in `{our_table('maintenance_runs')}`.",
    )
    def run_history_cleanup(context: dg.AssetExecutionContext) -> dg.MaterializeResult[None]:
        configured = settings.load()
        keep = Keep(_days(configured.dagster_keep_runs_days), _days(configured.dagster_keep_other_runs_days))
        pruned = prune(context.instance, policies, keep, report=context.log)
        return dg.MaterializeResult(
            metadata={
                "runs_removed": pruned.ours,
                "other_runs_removed": pruned.others,
                "complete": pruned.complete,
            }
        )

    return dg.Definitions(assets=[run_history_cleanup])


def prune(
    instance: dg.DagsterInstance,
    policies: Policies,
    keep: Keep,
    *,
    report: dg.DagsterLogManager,
    now: datetime | None = None,
) -> Pruned:
    """Deletes ended runs older than `keep`, with their events and captured output."""
    now = now or datetime.now(UTC)
    deadline = time.monotonic() + LONGEST_SECONDS
    removed = {True: 0, False: 0}
    # Listed completely before the first is deleted: the next page is found by the last run of the one before.
    for run, is_ours in list(_due(instance, policies, keep, now)):
        if time.monotonic() > deadline:
            report.warning("Old runs remain after 15 minutes of deleting; the next nightly run continues.")
            return Pruned(removed[True], removed[False], complete=False)
        instance.compute_log_manager.delete_logs(prefix=[run, "compute_logs"])
        instance.delete_run(run)
        removed[is_ours] += 1
    return Pruned(removed[True], removed[False], complete=True)


def _due(
    instance: dg.DagsterInstance, policies: Policies, keep: Keep, now: datetime
) -> Iterator[tuple[str, bool]]:
    shortest = min((age for age in (keep.ours, keep.others) if age is not None), default=None)
    if shortest is None:
        return
    old = dg.RunsFilter(statuses=run_ownership.ENDED, created_before=now - shortest)
    cursor: str | None = None
    while records := instance.get_run_records(old, limit=PAGE, ascending=True, cursor=cursor):
        for record in records:
            is_ours = bool(run_ownership.databases_of(policies, record.dagster_run))
            kept = keep.ours if is_ours else keep.others
            if kept is not None and record.create_timestamp < now - kept:
                yield record.dagster_run.run_id, is_ours
        cursor = records[-1].dagster_run.run_id


def _days(number: int) -> timedelta | None:
    return timedelta(days=number) if number else None

"""The grace period: an orphan is deleted only after it, and once no older transaction can add its parent."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Literal

from psycopg import sql as compose

import sql
from ops_pipeline.maintenance.batches.batch import PolicyRun
from ops_pipeline.maintenance.orphans.policy import Orphans
from ops_pipeline.maintenance.orphans.reference import Reference
from ops_pipeline.policies.values import written
from ops_pipeline.postgres.connection import Connection, row

PATIENCE = timedelta(seconds=60)
"""A run waits for a grace period that ends within this time; a longer one is left to the next run."""
LOOK_EVERY_SECONDS = 0.2
JUST_BEGUN_SECONDS = 0.05
"""A transaction that is just beginning has no start time yet and would count as an old one."""


@dataclass(frozen=True, slots=True)
class GraceStatus:
    """Which of a policy's missing parents have been missing for the grace period.

    It is over for parents that were missing by the `cutoff`. `newest_over`, `newest_within`: the latest time
    since which a parent has been missing, of those whose grace period is over, and of the others.
    """

    cutoff: datetime
    newest_over: datetime | None
    newest_within: datetime | None


def grace_status(connection: Connection, policy: Orphans) -> GraceStatus:
    """The state of the policy's missing parents now."""
    values = {"policy": policy.name, "grace": policy.grace_period}
    return GraceStatus(*row(connection, sql.get("maintenance/orphans/grace_status"), values))


def missing_since(operator: Literal["<=", ">"], grace: GraceStatus) -> compose.Composed:
    """SQL for the listed parents whose grace period is over (<=), or not yet (>)."""
    return compose.SQL("missing.keys IS NOT NULL AND missing.since {} {}").format(
        compose.SQL(operator), compose.Literal(grace.cutoff)
    )


def record_horizon(connection: Connection, policy: Orphans) -> None:
    """Records which transactions have ended: what they wrote is old enough after the grace period."""
    connection.execute(sql.get("maintenance/orphans/record_horizon"), {"policy": policy.name})


def forget_horizons(connection: Connection, policy: Orphans, by: datetime) -> None:
    """Deletes the recorded horizons that are not needed after that time."""
    connection.execute(sql.get("maintenance/orphans/forget_horizons"), {"policy": policy.name, "by": by})


def old_enough(connection: Connection, reference: Reference, by: datetime) -> compose.Composed | None:
    """SQL that is true for rows whose current version was written before that time; None when unknown."""
    values = {"policy": reference.policy, "by": by}
    horizon = connection.execute(sql.get("maintenance/orphans/horizon"), values).fetchone()
    if horizon is None:
        return None
    return compose.SQL(sql.get("maintenance/orphans/older")).format(horizon=compose.Literal(*horizon))


def over_in_time(
    run: PolicyRun,
    policy: Orphans,
    *,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> str | None:
    """Waits, at most PATIENCE, until the grace period of everything that is marked is over.

    Returns None then, else what it waited for. A reason to stop ends the wait as well.
    """
    until = clock() + PATIENCE.total_seconds()
    grace = grace_status(run.connection, policy)
    if grace.newest_within is not None and grace.newest_within - grace.cutoff > PATIENCE:
        return _in_grace(policy, grace.newest_within)
    while (reason := _held_up(run.connection, policy)) is not None:
        if clock() > until or run.stopped() is not None:
            return reason
        sleep(LOOK_EVERY_SECONDS)
    return None


def others_at_work(connection: Connection, moment: datetime) -> str | None:
    """A transaction that was open at that time and still is, in words; None where all have ended."""
    running = partial(connection.execute, sql.get("maintenance/orphans/running"), {"moment": moment})
    transactions = running().fetchall()
    if any(since is None for _, _, since in transactions):
        time.sleep(JUST_BEGUN_SECONDS)
        transactions = running().fetchall()
    if not transactions:
        return None
    pid, who, since = transactions[0]
    more = f" and {len(transactions) - 1} more" if len(transactions) > 1 else ""
    began = f", since {since:%Y-%m-%d %H:%M:%S} UTC" if since else ""
    return (
        f"a transaction that was open when they were found is still open and may add their parents: {who}"
        f"{f' (pid {pid})' if pid else ''}{began}{more}"
    )


def _held_up(connection: Connection, policy: Orphans) -> str | None:
    grace = grace_status(connection, policy)
    if grace.newest_within is not None:
        return _in_grace(policy, grace.newest_within)
    return others_at_work(connection, grace.newest_over) if grace.newest_over is not None else None


def _in_grace(policy: Orphans, since: datetime) -> str:
    over = since + policy.grace_period
    return f"their grace period of {written(policy.grace_period)} ends at {over:%Y-%m-%d %H:%M:%S} UTC"

"""How long an orphan is waited for: until nobody who was at work then can still bring its parent."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from psycopg import sql as compose

import sql
from ops_pipeline.maintenance.batches.batch import Run
from ops_pipeline.maintenance.orphans.policy import Orphans
from ops_pipeline.maintenance.orphans.reference import Reference
from ops_pipeline.postgres.connection import Connection, row

PATIENCE = timedelta(seconds=60)
"""What ends within this time is waited for; what takes longer is left to the next run."""
LOOK_EVERY_SECONDS = 0.2
JUST_BEGUN_SECONDS = 0.05
"""A transaction that begins at this very moment does not say since when, and would pass for an old one."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What of a policy's missing parents has been missing for the grace.

    `by`: the grace is over for what was missing by then. `ripe`, `young`: since when the youngest of those
    whose grace is over, and of the others, is missing.
    """

    by: datetime
    ripe: datetime | None
    young: datetime | None


def standing(connection: Connection, rule: Orphans) -> Standing:
    """How the policy's missing parents stand now."""
    values = {"policy": rule.name, "grace": rule.grace_period}
    return Standing(*row(connection, sql.get("maintenance/orphans/ripe"), values))


def tick(connection: Connection, rule: Orphans) -> None:
    """Notes which transactions have ended by now: what they wrote is old enough once the grace is over."""
    connection.execute(sql.get("maintenance/orphans/tick"), {"policy": rule.name})


def forget(connection: Connection, rule: Orphans, by: datetime) -> None:
    """Forgets the notes that nobody will ask for after that moment."""
    connection.execute(sql.get("maintenance/orphans/forget_clock"), {"policy": rule.name, "by": by})


def old_enough(connection: Connection, reference: Reference, by: datetime) -> compose.Composed | None:
    """The row was written, as it is now, before that moment; None when nobody can tell."""
    values = {"policy": reference.policy, "by": by}
    found = connection.execute(sql.get("maintenance/orphans/horizon"), values).fetchone()
    if found is None:
        return None
    return compose.SQL(sql.get("maintenance/orphans/older")).format(horizon=compose.Literal(found[0]))


def over_in_time(
    run: Run,
    rule: Orphans,
    *,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> str | None:
    """Waits, a minute at the most, until the grace of everything that is marked is over.

    Returns None then, or what is waited for. A reason to stop ends the wait as well.
    """
    until = clock() + PATIENCE.total_seconds()
    now = standing(run.connection, rule)
    if now.young is not None and now.young - now.by > PATIENCE:
        return _in_grace(rule, now)
    while (reason := _held_up(run.connection, rule)) is not None:
        if clock() > until or run.stop() is not None:
            return reason
        sleep(LOOK_EVERY_SECONDS)
    return None


def others_at_work(connection: Connection, moment: datetime) -> str | None:
    """Which transaction of those that were running then still is, in words."""
    found = connection.execute(sql.get("maintenance/orphans/running"), {"moment": moment}).fetchall()
    if any(since is None for _, _, since in found):
        time.sleep(JUST_BEGUN_SECONDS)
        found = connection.execute(sql.get("maintenance/orphans/running"), {"moment": moment}).fetchall()
    if not found:
        return None
    pid, who, since = found[0]
    more = f" and {len(found) - 1} more" if len(found) > 1 else ""
    began = f", since {since:%Y-%m-%d %H:%M:%S} UTC" if since else ""
    return (
        f"a transaction that was at work when they were seen still is, and may bring their parents: {who}"
        f"{f' (pid {pid})' if pid else ''}{began}{more}"
    )


def _held_up(connection: Connection, rule: Orphans) -> str | None:
    now = standing(connection, rule)
    if now.young is not None:
        return _in_grace(rule, now)
    return others_at_work(connection, now.ripe) if now.ripe is not None else None


def _in_grace(rule: Orphans, now: Standing) -> str:
    over = (now.young or now.by) + rule.grace_period
    return f"their grace of {rule.grace_period} is over at {over:%Y-%m-%d %H:%M:%S} UTC"

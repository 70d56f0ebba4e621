"""The guard: stops a run before it deletes more than its limits allow."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Generic, TypeVar

import sql
from ops_pipeline.counted import counted
from ops_pipeline.maintenance.guard import approvals
from ops_pipeline.maintenance.plan import (
    CascadedRows,
    DeletePlan,
    RowCount,
    deleted_by_cascade,
    fraction,
    is_migrated,
)
from ops_pipeline.policies.model import DeletingPolicy
from ops_pipeline.postgres.connection import Connection
from ops_pipeline.postgres.relation import TableName

P = TypeVar("P", bound=DeletePlan)

JUMP = timedelta(days=1)
"""How much further the server's clock may have advanced since the last run than this machine's. Not less: the
cutoff of dates is the start of a day."""
ESTIMATE = 1.1
"""An estimate may be off: up to this many times the approved rows, it is still the same plan."""


@dataclass(frozen=True, slots=True)
class GuardResult(Generic[P]):
    """The guard's decision on a plan.

    Without `reasons` the run may delete what is `planned`, up to its `cutoff`. `approval`: the approved plan
    that allows it, used up when the run is complete. With `reasons` nothing may be deleted until a person
    approves `plan`, the id of the stored plan. `deleted`: of the planned rows, those that the run has already
    deleted. `details`: for the run's history, and for the next run's guard to compare with.
    """

    planned: P
    reasons: tuple[str, ...] = ()
    plan: str | None = None
    approval: str | None = None
    deleted: int = 0
    details: Mapping[str, Any] | None = None

    @property
    def allowed(self) -> bool:
        return not self.reasons

    @property
    def message(self) -> str:
        """Why nothing was deleted, or nothing more, and the command that allows it."""
        were = counted(self.deleted, "row was", "rows were")
        before = f"{were} deleted before the guard stopped the run" if self.deleted else "Nothing was deleted"
        return (
            f"Needs approval: {'; '.join(self.reasons)}. {before}. "
            f"To allow it once: opsctl approve {self.plan}"
        )


def judge(
    connection: Connection,
    policy: DeletingPolicy,
    plan: P,
    *,
    now: datetime,
    at_cutoff: Callable[[datetime], P] | None = None,
    deleted: int = 0,
) -> GuardResult[P]:
    """Whether the run may do what is planned. `now` is the worker's clock; of the planned rows, the run has
    `deleted` so many already.

    A plan that needs approval may use the approval of an earlier plan of the same policy, if with that plan's
    cutoff (`at_cutoff` plans it; None where time does not decide) no more rows would be deleted than were
    approved. The connection is in autocommit mode and in no transaction.
    """
    reasons = plan.needs_approval
    if not reasons:
        return GuardResult(plan, details=_details(policy, plan.cutoff, now))
    approved = approvals.approved_plan(connection, policy.name)
    if approved is not None:
        at_approved, cutoff = plan, approved.cutoff
        if at_cutoff is not None and cutoff is not None and plan.cutoff is not None:
            # No row is deleted that the policy keeps now, whatever a stored plan says.
            cutoff = min(cutoff, plan.cutoff)
            at_approved = at_cutoff(cutoff)
        objections = tuple(_outgrown(policy, at_approved, approved))
        if not objections:
            details = _details(policy, cutoff, approved.worker_clock)
            return GuardResult(at_approved, approval=approved.id, details=details)
        reasons += objections
    stored = approvals.store(connection, _stored(policy, plan, reasons, now, None))
    return GuardResult(plan, reasons, plan=stored.id, deleted=deleted, details={"plan": stored.id})


def store(
    connection: Connection,
    policy: DeletingPolicy,
    plan: DeletePlan,
    *,
    now: datetime,
    follows: str | None = None,
) -> approvals.StoredPlan:
    """Stores a plan that needs approval, or will once `follows` has run; it is approved with that plan."""
    return approvals.store(connection, _stored(policy, plan, plan.needs_approval, now, follows))


def is_same(
    policy: DeletingPolicy, plan: DeletePlan, follows: str | None, stored: approvals.StoredPlan
) -> bool:
    """Whether a person who approves the stored plan approves this one: the same rows for the same reasons."""
    made = _stored(policy, plan, plan.needs_approval, stored.worker_clock, follows)
    same = ("definition", "eligible", "cascaded", "exact", "follows")
    return list(stored.reasons) == made["reasons"] and all(
        getattr(stored, name) == made[name] for name in same
    )


def reasons(
    connection: Connection,
    policy: DeletingPolicy,
    rows: RowCount,
    cutoff: datetime | None,
    *,
    cascaded: Sequence[CascadedRows],
    now: datetime,
) -> tuple[str, ...]:
    """Why deleting these rows and those they cascade to needs approval, whether or not one was given. Reads
    only; without our tables there was no earlier run to compare with."""
    last_run = _last_run(connection, policy)
    return (
        *_too_many(policy, rows),
        *_too_many_cascaded(policy, rows, cascaded),
        *_jumped(policy, cutoff, now, last_run),
        *_changed(policy, rows, last_run),
    )


def definition(policy: DeletingPolicy) -> dict[str, Any]:
    """What the policy deletes, as JSON: with another definition it is another plan.

    Includes `archive` and `cascade`: an approval to archive and delete rows does not cover deleting them
    without an archive.
    """
    names = ("table", *policy.selects, "archive", "cascade")
    return {"kind": policy.kind} | {name: _as_json(getattr(policy, name)) for name in names}


def _as_json(value: object) -> object:
    match value:
        case timedelta():
            return value.total_seconds()
        case TableName():
            return str(value)
        case tuple():
            return list(value)
        case _:
            return value


@dataclass(frozen=True, slots=True)
class _LastRun:
    """The last run that carried out a plan: its cutoff, the worker's clock then, and its policy."""

    cutoff: datetime | None
    worker_clock: datetime
    definition: Mapping[str, Any]
    started_at: datetime

    @property
    def keep(self) -> timedelta:
        return timedelta(seconds=self.definition.get("keep", 0))


def _last_run(connection: Connection, policy: DeletingPolicy) -> _LastRun | None:
    if not is_migrated(connection):
        return None
    statement = sql.get("maintenance/guard/last_planned_run")
    last_run = connection.execute(statement, {"policy": policy.name}).fetchone()
    return None if last_run is None else _LastRun(*last_run)


def _too_many(policy: DeletingPolicy, rows: RowCount) -> Iterator[str]:
    limits, about = policy.guard, "" if rows.exact else "about "
    about_total = "" if rows.exact and rows.total_exact else "about "
    if rows.fraction > limits.max_fraction:
        yield (
            f"this run would delete {about}{rows.eligible:,} of {about_total}{counted(rows.total, 'row')} of "
            f"{policy.table} ({about_total}{_percent(rows.fraction)}, guard.max_fraction is "
            f"{_percent(limits.max_fraction)})"
        )
    if limits.max_rows is not None and rows.eligible > limits.max_rows:
        yield (
            f"this run would delete {about}{counted(rows.eligible, 'row')} of {policy.table} "
            f"(guard.max_rows is {limits.max_rows:,})"
        )


def _too_many_cascaded(
    policy: DeletingPolicy, rows: RowCount, cascaded: Sequence[CascadedRows]
) -> Iterator[str]:
    limits = policy.guard
    for others in cascaded:
        share = fraction(others.most, others.total)
        if others.action == "deleted" and share > limits.max_fraction:
            most = _percent(limits.max_fraction)
            yield f"{others}: {_percent(share)} of that table (guard.max_fraction is {most})"
    together = rows.eligible + deleted_by_cascade(cascaded)
    if limits.max_rows is not None and rows.eligible <= limits.max_rows < together:
        yield (
            f"this run would delete {counted(rows.eligible, 'row')} of {policy.table} and "
            f"{counted(together - rows.eligible, 'row')} of other tables "
            f"(guard.max_rows is {limits.max_rows:,})"
        )


def _jumped(
    policy: DeletingPolicy, cutoff: datetime | None, now: datetime, last_run: _LastRun | None
) -> Iterator[str]:
    keep = policy.max_age()
    if keep is None or cutoff is None:
        return
    server = cutoff + keep
    if last_run is None or last_run.cutoff is None:
        if server - now > JUMP:
            yield (
                f"the database's clock ({_minute(server)}) is {_length(server - now)} ahead "
                f"of this machine's ({_minute(now)})"
            )
        return
    by_server, by_worker = server - (last_run.cutoff + last_run.keep), now - last_run.worker_clock
    if by_server - by_worker > JUMP:
        yield (
            f"since the run of {_minute(last_run.started_at)} the database's clock advanced by "
            f"{_length(by_server)} and this machine's by {_length(by_worker)}; check both clocks"
        )


def _changed(policy: DeletingPolicy, rows: RowCount, last_run: _LastRun | None) -> Iterator[str]:
    if last_run is None or (rows.exact and rows.eligible == 0):
        return
    now, since = definition(policy), f"since the run of {_minute(last_run.started_at)}"
    keep = policy.max_age()
    if keep is not None and keep < last_run.keep:
        yield f"keep was shortened from {_length(last_run.keep)} to {_length(keep)} {since}"
    before = {**now, **last_run.definition}
    # A duration says when rows are deleted, not which; that `keep` gets no shorter is checked above.
    for key, value in policy.written(now).items():
        if (former := policy.written(before)[key]) != value:
            yield f"{key} was changed from {former} to {value} {since}"


def _outgrown(policy: DeletingPolicy, plan: DeletePlan, approved: approvals.StoredPlan) -> Iterator[str]:
    """Why the approval is not for what is planned."""
    if definition(policy) != approved.definition:
        yield f"plan {approved.id} was approved before the policy was changed"
        return
    rows, of_others = plan.rows, deleted_by_cascade(plan.cascaded)
    exact = rows.exact and approved.exact
    if rows.eligible > approved.eligible * (1 if exact else ESTIMATE):
        yield (
            f"plan {approved.id} was approved for {counted(approved.eligible, 'row')}, but would now delete "
            f"{rows.eligible:,} with the same cutoff"
        )
    if of_others > approved.cascaded:
        yield (
            f"plan {approved.id} was approved for {counted(approved.cascaded, 'row')} of other tables, but "
            f"would now delete {of_others:,}"
        )


def _details(policy: DeletingPolicy, cutoff: datetime | None, worker_clock: datetime) -> dict[str, Any]:
    keep = policy.max_age()
    return {
        "worker_clock": worker_clock.isoformat(),
        "cutoff": cutoff.isoformat() if cutoff else None,
        "definition": definition(policy),
        **({} if keep is None else {"keep_seconds": keep.total_seconds()}),
    }


def _stored(
    policy: DeletingPolicy, plan: DeletePlan, reasons: tuple[str, ...], now: datetime, follows: str | None
) -> dict[str, Any]:
    return {
        "policy": policy.name,
        "definition": definition(policy),
        "cutoff": plan.cutoff,
        "worker_clock": now,
        "eligible": plan.rows.eligible,
        "cascaded": deleted_by_cascade(plan.cascaded),
        "total": plan.rows.total,
        "fraction": plan.rows.fraction,
        "exact": plan.rows.exact,
        "reasons": list(reasons),
        "follows": follows,
    }


def _percent(share: float) -> str:
    return f"{_plain(share * 100)}%"


def _minute(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def _length(time: timedelta) -> str:
    days = abs(time) >= timedelta(days=1)
    number = _plain(time / (timedelta(days=1) if days else timedelta(hours=1)))
    return f"{number} {'day' if days else 'hour'}{'' if number == '1' else 's'}"


def _plain(number: float) -> str:
    return f"{number:.2f}".rstrip("0").rstrip(".")

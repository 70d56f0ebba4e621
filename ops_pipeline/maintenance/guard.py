"""Stops a run before it removes anything, where it would remove more than anybody expects."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any

import sql
from ops_pipeline import policy
from ops_pipeline.database import Connection
from ops_pipeline.maintenance import approvals
from ops_pipeline.maintenance.planned import Planned, plan_one

JUMP = timedelta(days=1)
"""How much further than this machine's clock the server's may have gone since the last run."""
ESTIMATE = 1.1
"""A count that is an estimate may be off: by so much more than was approved, it is still the same plan."""

Rule = policy.Retention | policy.Orphans


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the guard says to a plan.

    Without `reasons` the run may remove what is `planned`, to its `cutoff` and no further. `approval`: the
    approved plan that lets it through, to be used up when the run is complete. With `reasons` nothing may go
    until somebody approves `plan`, which is stored. `details`: for the run's history; the next run's guard
    compares with them.
    """

    planned: Planned
    reasons: tuple[str, ...] = ()
    plan: str | None = None
    approval: str | None = None
    details: Mapping[str, Any] | None = None

    @property
    def allowed(self) -> bool:
        return not self.reasons

    @property
    def message(self) -> str:
        """Why nothing was removed, and what to do about it."""
        return f"{'; '.join(self.reasons)}. Nothing was removed. If this is right: opsctl approve {self.plan}"


def judge(
    connection: Connection, rule: Rule, planned: Planned, *, now: datetime, limit_seconds: float
) -> Verdict:
    """Whether the run may do what is planned. `now` is what the worker's clock says.

    A plan that is stopped is let through by the approval of an earlier one of the same rule, if at that
    one's cutoff no more rows are to go than were approved; they are counted as `planned.plan_one` does. The
    connection is in autocommit mode and in no transaction.
    """
    against = reasons(connection, rule, planned, now=now)
    if not against:
        return Verdict(planned, details=_details(rule, planned.cutoff, now))
    approved = approvals.approved(connection, rule.name)
    if approved is not None:
        again = _at_its_cutoff(connection, rule, planned, approved, limit_seconds)
        objections = tuple(_outgrown(rule, again, approved))
        if not objections:
            details = _details(rule, approved.cutoff, approved.worker_clock)
            return Verdict(again, approval=approved.id, details=details)
        against += objections
    plan = approvals.store(connection, _stored(rule, planned, against, now))
    return Verdict(planned, against, plan=plan.id, details={"plan": plan.id})


def reasons(connection: Connection, rule: Rule, planned: Planned, *, now: datetime) -> tuple[str, ...]:
    """Everything that speaks against the plan, approvals left out of account. Reads only."""
    before = _before(connection, rule)
    return (*_too_much(rule, planned), *_jumped(rule, planned, now, before), *_changed(rule, planned, before))


def definition(rule: Rule) -> dict[str, Any]:
    """What the rule removes, as JSON: with another definition it is another plan."""
    others = {"database", "guard", "throttle", "place"}
    kept = {each.name: getattr(rule, each.name) for each in fields(rule) if each.name not in others}
    return {"kind": rule.kind} | {name: _as_json(value) for name, value in kept.items()}


def _as_json(value: object) -> object:
    match value:
        case timedelta():
            return value.total_seconds()
        case tuple():
            return list(value)
        case _:
            return value


@dataclass(frozen=True, slots=True)
class _Before:
    """The last run that went by a plan: its cutoff, what the worker's clock said then, and its rule."""

    cutoff: datetime | None
    worker_clock: datetime
    definition: Mapping[str, Any]
    started_at: datetime


def _before(connection: Connection, rule: Rule) -> _Before | None:
    found = connection.execute(sql.get("guard/baseline"), {"policy": rule.name}).fetchone()
    return None if found is None else _Before(*found)


def _too_much(rule: Rule, planned: Planned) -> Iterator[str]:
    limits, about = rule.guard, "" if planned.exact else "about "
    if planned.fraction > limits.max_fraction:
        yield (
            f"{about}{_percent(planned.fraction)} of {rule.table} would go ({planned.eligible:,} of "
            f"{planned.total:,} rows), and guard.max_fraction is {_percent(limits.max_fraction)}"
        )
    if limits.max_rows is not None and planned.eligible > limits.max_rows:
        yield (
            f"{about}{planned.eligible:,} rows of {rule.table} would go, "
            f"and guard.max_rows is {limits.max_rows:,}"
        )


def _jumped(rule: Rule, planned: Planned, now: datetime, before: _Before | None) -> Iterator[str]:
    if not isinstance(rule, policy.Retention) or planned.cutoff is None:
        return
    server = planned.cutoff + rule.keep
    if before is None or before.cutoff is None:
        if server - now > JUMP:
            yield (
                f"the database's clock ({_minute(server)}) is {_length(server - now)} ahead "
                f"of this machine's ({_minute(now)})"
            )
        return
    kept = timedelta(seconds=before.definition["keep"])
    by_server, by_worker = server - (before.cutoff + kept), now - before.worker_clock
    if by_server - by_worker > JUMP:
        yield (
            f"the cutoff has moved {_length(by_server - by_worker)} further than the clock explains: since "
            f"the run of {_minute(before.started_at)} the database's clock went on by {_length(by_server)} "
            f"and this machine's by {_length(by_worker)}"
        )


def _changed(rule: Rule, planned: Planned, before: _Before | None) -> Iterator[str]:
    if before is None or (planned.exact and planned.eligible == 0):
        return
    now, since = definition(rule), f"since the run of {_minute(before.started_at)}"
    if isinstance(rule, policy.Retention):
        kept = timedelta(seconds=before.definition["keep"])
        if rule.keep < kept:
            yield f"keep was shortened from {_length(kept)} to {_length(rule.keep)} {since}"
    for name in ("column", "columns", "parent", "parent_columns"):
        if name in now and now[name] != before.definition.get(name):
            yield f"{name} was changed from {before.definition.get(name)} to {now[name]} {since}"


def _at_its_cutoff(
    connection: Connection, rule: Rule, planned: Planned, approved: approvals.Plan, limit_seconds: float
) -> Planned:
    if approved.cutoff is None:
        return planned
    return plan_one(connection, rule, cutoff=approved.cutoff, limit_seconds=limit_seconds)


def _outgrown(rule: Rule, planned: Planned, approved: approvals.Plan) -> Iterator[str]:
    """Why the approval is not for what is planned."""
    if definition(rule) != approved.definition:
        yield f"plan {approved.id} was approved for this policy as it stood then, and the policy was changed"
        return
    counted = planned.exact and approved.exact
    if planned.eligible > approved.eligible * (1 if counted else ESTIMATE):
        yield (
            f"plan {approved.id} was approved for {approved.eligible:,} rows, and by now "
            f"{planned.eligible:,} would go at the same cutoff"
        )


def _details(rule: Rule, cutoff: datetime | None, worker_clock: datetime) -> dict[str, Any]:
    keep = {"keep_seconds": rule.keep.total_seconds()} if isinstance(rule, policy.Retention) else {}
    return {
        "worker_clock": worker_clock.isoformat(),
        "cutoff": cutoff.isoformat() if cutoff else None,
        "definition": definition(rule),
        **keep,
    }


def _stored(rule: Rule, planned: Planned, against: tuple[str, ...], now: datetime) -> dict[str, Any]:
    return {
        "policy": rule.name,
        "definition": definition(rule),
        "cutoff": planned.cutoff,
        "worker_clock": now,
        "eligible": planned.eligible,
        "total": planned.total,
        "fraction": planned.fraction,
        "exact": planned.exact,
        "reasons": list(against),
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

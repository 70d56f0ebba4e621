"""`opsctl approve`: lists the plans that need approval, or approves them for one run."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from ops_pipeline.audit.person import person
from ops_pipeline.cli import tables
from ops_pipeline.cli.context import connected_to
from ops_pipeline.cli.options import By, Database
from ops_pipeline.cli.output import Json, answer, fail_for
from ops_pipeline.counted import counted
from ops_pipeline.maintenance.guard import approvals
from ops_pipeline.maintenance.guard.approvals import ApprovalRefusedError, StoredPlan
from ops_pipeline.opsctl import opsctl
from ops_pipeline.postgres.rights import explained


def approve(
    plan: Annotated[
        str | None,
        typer.Argument(help="The plan's id, or its first characters. Unset: list pending approvals."),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Approve every plan that needs approval now.")] = False,
    by: By = None,
    chosen: Database = None,
    as_json: Json = False,
) -> None:
    """Approve one plan for one run; without a plan, list pending approvals."""
    if plan is not None and every:
        raise typer.BadParameter("cannot be used together with a plan", param_hint="--all")
    away: list[str] = []
    pending = _pending(chosen, away)
    if plan is not None:
        approved = _approve(_whole_id(plan, pending, away), person(by), chosen)
        answer(_as_json(approved), *_sentences([approved]), as_json=as_json)
        return
    if every:
        _approve_all(pending, person(by), chosen, away, as_json=as_json)
    else:
        _list(pending, away, as_json=as_json)
    fail_for(away)


def _pending(chosen: str | None, away: list[str]) -> list[StoredPlan]:
    plans: list[StoredPlan] = []
    with connected_to(chosen, "opsctl approve", away, writes=False) as connections:
        for _, connection in connections:
            with explained(connection):
                plans += approvals.pending(connection)
    return plans


def _list(pending: Sequence[StoredPlan], away: Sequence[str], *, as_json: bool) -> None:
    next_step = "To approve one of them for one run: opsctl approve PLAN"
    lines = [tables.plans_table(pending), "", next_step] if pending else _none(away)
    answer({"plans": pending, "unavailable": away}, *lines, as_json=as_json)


def _none(away: Sequence[str]) -> list[str]:
    """That there is none: known only when every database has answered."""
    return [] if away else ["No plan needs approval."]


def _whole_id(start: str, pending: Sequence[StoredPlan], away: Sequence[str]) -> str:
    """The id of the pending plan that begins so; as it is, if none does."""
    meant = [plan for plan in pending if plan.id.startswith(start)] if start else []
    if start in {plan.id for plan in meant} or not meant:
        return start
    if len(meant) > 1:
        candidates = ", ".join(f"{plan.id} ({plan.policy})" for plan in meant)
        raise ApprovalRefusedError(
            f'Plan "{start}" is ambiguous: {candidates}. Nothing was approved; write more of the id'
        )
    if away:
        unknown = "\n".join(away)
        raise ApprovalRefusedError(
            f"{unknown}\nIts plans may begin with {start} as well, so nothing was approved. "
            f"Write the whole id: opsctl approve {meant[0].id}"
        )
    return meant[0].id


@dataclass(frozen=True, slots=True)
class _Approved:
    """A plan, and those that are approved with it because it makes their rows orphans."""

    plan: StoredPlan
    following: Sequence[StoredPlan]


def _approve(plan: str, by: str, chosen: str | None) -> _Approved:
    missing: list[str] = []
    away: list[str] = []
    with connected_to(chosen, "opsctl approve", away) as connections:
        for _, connection in connections:
            try:
                with explained(connection):
                    approved = approvals.approve(connection, plan, by)
                    return _Approved(approved, approvals.following(connection, plan))
            except approvals.NoSuchPlanError as error:
                missing.append(str(error))
    raise ApprovalRefusedError("\n".join(dict.fromkeys([*missing, *away])))


def _approve_all(
    pending: Sequence[StoredPlan], by: str, chosen: str | None, away: Sequence[str], *, as_json: bool
) -> None:
    approved = [_approve(plan.id, by, chosen) for plan in approvals.to_approve(pending)]
    sentences = _sentences(approved) if approved else _none(away)
    content = {"approved": list(map(_as_json, approved)), "unavailable": away}
    answer(content, *sentences, as_json=as_json)


def _as_json(approved: _Approved) -> dict[str, Any]:
    plan = {name: getattr(approved.plan, name) for name in StoredPlan.__slots__}
    return {**plan, "following": approved.following}


def _sentences(approved: Sequence[_Approved]) -> Iterator[str]:
    for each in approved:
        cutoff = each.plan.cutoff
        older = f" older than {cutoff:%Y-%m-%d %H:%M} UTC" if cutoff else ""
        yield f"Approved: the next complete run of {each.plan.policy} may delete {_rows(each.plan)}{older}."
        for also in each.following:
            yield f"Approved with it: {also.policy}, {_rows(also)} that this run makes orphans."
    policies = [plan.policy for each in approved for plan in (each.plan, *each.following)]
    several = len(policies) > 1
    yield (
        f"The approval is for {'these plans' if several else 'this plan'} only, and for one run. "
        f"To run {'them' if several else 'it'} now: {opsctl('run', policies=policies)}"
    )


def _rows(plan: StoredPlan) -> str:
    return f"{'' if plan.exact else 'about '}{counted(plan.eligible, 'row')}"

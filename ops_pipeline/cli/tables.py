"""The tables that `opsctl` shows a person."""

from collections.abc import Sequence
from datetime import UTC, datetime

from rich import filesize
from rich.console import RenderableType
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table

from ops_pipeline.access import keys
from ops_pipeline.archive.manifest import ArchivedFile
from ops_pipeline.cli.output import one_line
from ops_pipeline.holds import holds
from ops_pipeline.maintenance.guard import approvals
from ops_pipeline.maintenance.orphans.triggers import Trigger
from ops_pipeline.maintenance.plan import Plan, RowCount, Unplanned
from ops_pipeline.maintenance.result import RunResult

COLOURS = {"done": "green", "running": "cyan", "observed": "cyan", "paused": "yellow"}


def plan_table(plans: Sequence[Plan | Unplanned]) -> Table:
    """What would be deleted, one row for each policy; a policy that cannot be planned has no row."""
    table = _table(
        "Policy", "would delete:>", "of:>", "share:>", "size:>", "oldest", "on hold:>", "NULL:>",
        "dead rows:>", "takes:>", "method",
    )  # fmt: skip
    for plan in plans:
        if isinstance(plan, Plan):
            takes = f"{plan.seconds:,.0f} s" if plan.seconds is not None else ""
            table.add_row(
                plan.policy, *_row_cells(plan.rows), f"{plan.dead_tuples:,}", takes, plan.method.name
            )  # fmt: skip
    return table


def _row_cells(rows: RowCount | None) -> tuple[str, ...]:
    if rows is None:
        return ("",) * 7
    about = "" if rows.exact else "~"
    return (
        f"{about}{rows.eligible:,}", f"{about}{rows.total:,}", f"{about}{rows.fraction:.1%}",
        filesize.decimal(rows.bytes) if rows.bytes else "",
        f"{rows.oldest:%Y-%m-%d}" if rows.oldest else "",
        f"{rows.held:,}", f"{rows.unset:,}",
    )  # fmt: skip


def plan_notes(plans: Sequence[Plan | Unplanned]) -> list[str]:
    """Notes on the plans besides their numbers, one line each."""
    return [
        one_line(f"{plan.policy}: {note}")
        for plan in plans
        if isinstance(plan, Plan)
        for note in plan.notes()
    ]


def results_table(results: Sequence[RunResult]) -> Table:
    """What each policy did, one row for each; of a running policy, its progress."""
    table = _table(
        "Policy", "removed:>", "archived:>", "remaining:>", "scanned:>", "dead rows:>", "seconds:>", "outcome"
    )
    for result in results:
        left = "" if result.left is None else f"{result.left:,}"
        dead = f"{result.dead_tuples_before:,} → {result.dead_tuples_after:,}"
        table.add_row(
            result.policy, f"{result.removed:,}", f"{result.archived:,}", left, f"{result.examined:,}", dead,
            f"{result.seconds:.1f}", _outcome(result),
        )  # fmt: skip
    return table


def _outcome(result: RunResult) -> RenderableType:
    if result.outcome == "running" and result.throttle_reason is not None:
        return f"[yellow]throttled for {result.throttled_seconds:,.0f} s, {escape(result.throttle_reason)}[/]"
    if result.outcome == "running" and (vacuum := result.details.get("progress")):
        return f"[cyan]{escape(str(vacuum['text']))}[/]"
    if result.outcome != "running" or not result.planned:
        colour = COLOURS.get(result.outcome, "red")
        return f"[{colour}]{result.outcome}[/]"
    rate = result.removed / result.working if result.working else 0.0
    time_left = f", {(result.planned - result.removed) / rate:,.0f} s left" if rate else ""
    progress = Table.grid(padding=(0, 1))
    bar = ProgressBar(total=result.planned, completed=min(result.removed, result.planned), width=20)
    progress.add_row(bar, f"{result.removed / result.planned:.0%}  {rate:,.0f}/s{time_left}")
    return progress


def keys_table(all_keys: Sequence[keys.Key]) -> Table:
    """All keys, revoked and expired ones too; times are in UTC."""
    table = _table("id:", "name", "scopes", "created", "expires", "last used", "state")
    now = datetime.now(UTC)
    for key in all_keys:
        state = key.state(now)
        table.add_row(
            str(key.id), escape(key.name), ", ".join(key.scopes), _minute(key.created_at),
            _minute(key.expires_at), _minute(key.last_used_at),
            "[green]valid[/]" if state == "valid" else f"{state} {_minute(key.revoked_at)}".rstrip(),
        )  # fmt: skip
    return table


def holds_table(all_holds: Sequence[holds.Hold]) -> Table:
    """All holds, ended and released ones too; times are in UTC."""
    table = _table("id:>", "table", "where", "reason", "owner", "added", "by", "until", "state")
    now = datetime.now(UTC)
    for hold in all_holds:
        released = f"released {_minute(hold.released_at)} by {escape(hold.released_by or '')}"
        states = {"active": "[green]active[/]", "unclear": "[red]unclear[/]", "released": released}
        state = states.get(hold.state(now), "ended")
        table.add_row(
            str(hold.id), escape(hold.table), escape(str(hold.predicate)), escape(hold.reason),
            escape(hold.owner), _minute(hold.created_at), escape(hold.created_by), _minute(hold.ends_at),
            state,
        )  # fmt: skip
    return table


def archives_table(files: Sequence[ArchivedFile]) -> Table:
    """The archived files."""
    table = _table("table", "day", "rows:>", "bytes:>", "sha256", "removed at", "state", "file")
    for file in files:
        state = f"restored {_minute(file.restored_at)}" if file.state == "restored" else file.state
        colour = {"damaged": "red", "unfinished": "yellow"}.get(file.state, "green")
        table.add_row(
            escape(file.table), file.day.isoformat() if file.day else "", f"{file.rows:,}", f"{file.bytes:,}",
            file.sha256[:12], _minute(file.created_at), f"[{colour}]{state}[/]", escape(file.path),
        )  # fmt: skip
    return table


def plans_table(plans: Sequence[approvals.StoredPlan]) -> Table:
    """The plans that need approval."""
    table = _table("plan:", "policy", "would delete:>", "of:>", "share:>", "older than", "planned at", "why")
    for plan in plans:
        about = "" if plan.exact else "~"
        table.add_row(
            plan.id, plan.policy, f"{about}{plan.eligible:,}", f"{about}{plan.total:,}",
            f"{about}{plan.fraction:.1%}", _minute(plan.cutoff), _minute(plan.created_at),
            escape("; ".join([*plan.reasons, *_approved_with(plan)])),
        )  # fmt: skip
    return table


def _approved_with(plan: approvals.StoredPlan) -> list[str]:
    return (
        [] if plan.follows is None else [f"approved with plan {plan.follows}, which makes these rows orphans"]
    )


def triggers_table(installed: Sequence[Trigger]) -> Table:
    """The triggers that record the keys of deleted parents."""
    table = _table("policy", "table", "trigger")
    for trigger in installed:
        table.add_row(escape(trigger.policy), escape(str(trigger.table)), escape(trigger.name))
    return table


def _minute(time: datetime | None) -> str:
    return f"{time:%Y-%m-%d %H:%M}" if time else ""


def _table(*headings: str) -> Table:
    """A table with these columns. `:>` marks numbers, `:` ids: neither is wrapped or cut. Text wraps."""
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    for heading in headings:
        title, whole, number = heading.partition(":")
        table.add_column(title, justify="right" if number else "left", no_wrap=bool(whole), overflow="fold")
    return table

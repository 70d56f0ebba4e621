"""The tables that `opsctl` shows a person."""

from collections.abc import Sequence
from datetime import UTC, datetime

from rich import filesize
from rich.text import Text

from ops_pipeline.access import keys
from ops_pipeline.archive.manifest import ArchivedFile
from ops_pipeline.cli.output import one_line
from ops_pipeline.cli.table import Table
from ops_pipeline.holds import holds
from ops_pipeline.maintenance.guard import approvals
from ops_pipeline.maintenance.orphans.triggers import Trigger
from ops_pipeline.maintenance.overdue import LastRuns
from ops_pipeline.maintenance.plan import Plan, RowCount, Unplanned
from ops_pipeline.maintenance.recent import RecordedRun
from ops_pipeline.maintenance.result import RunResult

COLORS = {
    "done": "green",
    "running": "cyan",
    "observed": "cyan",
    "needs_approval": "yellow",
    "paused": "yellow",
}
BAR = 20
"""How many characters a progress bar has."""


def plan_table(plans: Sequence[Plan | Unplanned]) -> Table:
    """What would be deleted, one row for each policy; a policy that cannot be planned has no row."""
    table = Table(
        "policy", "would delete:>", "of:>", "share:>", "size:>", "oldest", "on hold:>", "NULL:>",
        "dead rows:>", "takes:>", "method:~",
    )  # fmt: skip
    for plan in plans:
        if isinstance(plan, Plan):
            takes = f"{plan.seconds:,.0f} s" if plan.seconds is not None else ""
            table.add_row(
                plan.policy, *_row_cells(plan.rows), _unless_zero(plan.dead_tuples), takes, plan.method.name
            )
    return table


def _row_cells(rows: RowCount | None) -> tuple[str, ...]:
    if rows is None:
        return ("",) * 7
    about = "" if rows.exact else "~"
    return (
        f"{about}{rows.eligible:,}", f"{about}{rows.total:,}", f"{about}{rows.fraction:.1%}",
        filesize.decimal(rows.bytes) if rows.bytes else "",
        f"{rows.oldest:%Y-%m-%d}" if rows.oldest else "",
        _unless_zero(rows.on_hold), _unless_zero(rows.null),
    )  # fmt: skip


def _unless_zero(number: int) -> str:
    return f"{number:,}" if number else ""


def plan_remarks(plans: Sequence[Plan | Unplanned], *, verbose: bool) -> list[str]:
    """Remarks on the plans besides their numbers, one line each; `verbose`: also on what would be skipped."""
    return [
        one_line(f"{plan.policy}: {remark}")
        for plan in plans
        if isinstance(plan, Plan)
        for remark in (*plan.remarks(), *(plan.skips() if verbose else ()))
    ]


def results_table(results: Sequence[RunResult]) -> Table:
    """What each policy did, one row for each; of a running policy, its progress."""
    table = Table(
        "policy", "outcome", "removed:>", "archived:>", "remaining:>", "scanned:>", "dead rows:>", "seconds:>"
    )
    for result in results:
        remaining = "" if result.remaining is None else f"{result.remaining:,}"
        dead_before, dead_after = result.dead_tuples_before, result.dead_tuples_after
        dead = f"{dead_before:,} → {dead_after:,}" if dead_before or dead_after else ""
        table.add_row(
            result.policy, _outcome(result), f"{result.removed:,}", f"{result.archived:,}", remaining,
            f"{result.scanned:,}", dead, f"{result.seconds:.1f}",
        )  # fmt: skip
    return table


def _outcome(result: RunResult) -> Text:
    if result.outcome == "running" and result.throttle_reason is not None:
        why = f"throttled for {result.throttled_for:,.0f} s, {result.throttle_reason}"
        return Text(one_line(why), "yellow")
    if result.outcome == "running" and (vacuum := result.details.get("progress")):
        return Text(one_line(str(vacuum["text"])), "cyan")
    if result.outcome != "running" or not result.planned:
        return outcome(result.outcome)
    rate = result.removed / result.working if result.working else 0.0
    time_left = f", {(result.planned - result.removed) / rate:,.0f} s remaining" if rate else ""
    share = result.removed / result.planned
    done = round(min(share, 1) * BAR)
    return Text.assemble(
        ("━" * done, "cyan"), ("━" * (BAR - done), "dim"), f" {share:.0%}  {rate:,.0f}/s{time_left}"
    )


def outcome(name: str) -> Text:
    """A run's outcome, in its color."""
    return Text(one_line(name).replace("_", " "), COLORS.get(name, "red"))


def status_table(policies: Sequence[LastRuns]) -> Table:
    """The newest run of each policy; times are in UTC."""
    table = Table("policy", "outcome", "removed:>", "remaining:>", "started", "last done")
    for runs in policies:
        table.add_row(
            runs.policy,
            outcome(runs.outcome or "never run"),
            "" if runs.removed is None else f"{runs.removed:,}",
            "" if runs.remaining is None else f"{runs.remaining:,}",
            minute(runs.started_at),
            "" if runs.outcome == "done" else minute(runs.done_at),
        )
    return table


def history_table(runs: Sequence[RecordedRun]) -> Table:
    """Runs of policies; times are in UTC."""
    table = Table(
        "started", "policy", "outcome", "removed:>", "remaining:>", "seconds:>", "archived:>", "run:>",
        "why:~", "Dagster run",
    )  # fmt: skip
    for run in runs:
        table.add_row(
            minute(run.started_at), run.policy, outcome(run.outcome), f"{run.removed:,}",
            "" if run.remaining is None else f"{run.remaining:,}", f"{run.seconds:,.1f}",
            _unless_zero(run.archived), str(run.id),
            "" if run.outcome == "done" else run.stopped_reason, run.dagster_run_id or "",
        )  # fmt: skip
    return table


def keys_table(all_keys: Sequence[keys.Key]) -> Table:
    """All keys, revoked and expired ones too; times are in UTC."""
    table = Table("id", "name", "state", "scopes:~", "databases:~", "created", "expires", "last used")
    now = datetime.now(UTC)
    for key in all_keys:
        state = key.state(now)
        table.add_row(
            str(key.id), key.name,
            Text("valid", "green") if state == "valid" else f"{state} {minute(key.revoked_at)}".rstrip(),
            ", ".join(key.scopes), _databases(key), minute(key.created_at),
            minute(key.expires_at) or keys.NEVER, minute(key.last_used_at),
        )  # fmt: skip
    return table


def _databases(key: keys.Key) -> str:
    """Whose runs it may start; nothing where it may start none."""
    if key.databases is not None:
        return ", ".join(key.databases)
    return "all" if {keys.MAINTENANCE, "admin"} & set(key.scopes) else ""


def holds_table(all_holds: Sequence[tuple[str, holds.Hold]]) -> Table:
    """All holds, ended and released ones too, each with its database; times are in UTC."""
    table = Table(
        "database", "id:>", "table", "state", "until", "where:~", "reason:~", "owner", "added", "by"
    )
    now = datetime.now(UTC)
    colors = {"active": "green", "unclear": "red"}
    for database, hold in all_holds:
        name = hold.state(now)
        released = f" {minute(hold.released_at)} by {hold.released_by or ''}" if name == "released" else ""
        table.add_row(
            database, str(hold.id), hold.table, Text(one_line(name + released), colors.get(name, "")),
            minute(hold.ends_at), str(hold.predicate), hold.reason, hold.owner, minute(hold.created_at),
            hold.created_by,
        )  # fmt: skip
    return table


def archives_table(files: Sequence[tuple[str, ArchivedFile]]) -> Table:
    """The archived files, each with its database."""
    table = Table("database", "table", "day", "rows:>", "bytes:>", "state", "removed at", "file", "sha256")
    for database, file in files:
        state = f"restored {minute(file.restored_at)}" if file.state == "restored" else file.state
        color = {"damaged": "red", "unfinished": "yellow"}.get(file.state, "green")
        table.add_row(
            database, file.table, file.day.isoformat() if file.day else "", f"{file.rows:,}",
            f"{file.bytes:,}", Text(state, color), minute(file.created_at), file.path, file.sha256,
        )  # fmt: skip
    return table


def plans_table(plans: Sequence[approvals.StoredPlan]) -> Table:
    """The plans that need approval."""
    table = Table("plan", "policy", "would delete:>", "of:>", "share:>", "older than", "planned at", "why:~")
    for plan in plans:
        about = "" if plan.exact else "~"
        table.add_row(
            plan.id, plan.policy, f"{about}{plan.eligible:,}", f"{about}{plan.total:,}",
            f"{about}{plan.fraction:.1%}", minute(plan.cutoff), minute(plan.created_at),
            "; ".join([*plan.reasons, *_approved_with(plan)]),
        )  # fmt: skip
    return table


def _approved_with(plan: approvals.StoredPlan) -> list[str]:
    return (
        [] if plan.follows is None else [f"approved with plan {plan.follows}, which makes these rows orphans"]
    )


def triggers_table(installed: Sequence[Trigger]) -> Table:
    """The triggers that record the keys of deleted parents."""
    table = Table("policy", "table", "trigger")
    for trigger in installed:
        table.add_row(trigger.policy, str(trigger.table), trigger.name)
    return table


def minute(time: datetime | None) -> str:
    """The time to the minute, or nothing."""
    return f"{time:%Y-%m-%d %H:%M}" if time else ""

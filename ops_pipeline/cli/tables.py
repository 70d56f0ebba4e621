"""What `opsctl` shows a person: tables, and a night as it goes."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

import psycopg
from rich import filesize
from rich.console import Console, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
from rich.progress import Progress as Bar
from rich.progress_bar import ProgressBar
from rich.table import Table

from ops_pipeline.access import keys
from ops_pipeline.archive.manifest import ArchivedFile
from ops_pipeline.audit.importers.cloudtrail import ImportProgress, ImportReport
from ops_pipeline.holds import holds
from ops_pipeline.maintenance import history
from ops_pipeline.maintenance.guard import approvals
from ops_pipeline.maintenance.plan import Plan, RowCount, Unplanned
from ops_pipeline.maintenance.result import COMPLETED, Result
from ops_pipeline.postgres.connection import DatabaseUnavailableError, connect

REFRESH_SECONDS = 0.25
UNWATCHED_WIDTH = 160
"""Columns of a table that goes into a file or a pipe."""
COLOURS = {"done": "green", "running": "cyan"}


def console(*, stderr: bool = False) -> Console:
    """A console that breaks no line by itself, so that what is piped can be searched."""
    at_a_terminal = Console(stderr=stderr).is_terminal
    return Console(stderr=stderr, soft_wrap=True, width=None if at_a_terminal else UNWATCHED_WIDTH)


def plan_table(planned: Sequence[Plan | Unplanned]) -> Table:
    """What would be deleted, a policy a row; a policy that cannot be planned has none."""
    table = _table(
        "Policy", "would go:>", "of:>", "share:>", "size:>", "oldest", "held:>", "NULL:>", "dead:>",
        "takes:>", "method",
    )  # fmt: skip
    for plan in planned:
        if isinstance(plan, Plan):
            takes = f"{plan.seconds:,.0f} s" if plan.seconds is not None else ""
            table.add_row(
                plan.policy, *_counted(plan.rows), f"{plan.dead_tuples:,}", takes, plan.method.name
            )  # fmt: skip
    return table


def _counted(rows: RowCount | None) -> tuple[str, ...]:
    if rows is None:
        return ("",) * 7
    about = "" if rows.exact else "~"
    return (
        f"{about}{rows.eligible:,}", f"{about}{rows.total:,}", f"{about}{rows.fraction:.1%}",
        filesize.decimal(rows.bytes) if rows.bytes else "",
        f"{rows.oldest:%Y-%m-%d}" if rows.oldest else "",
        f"{rows.held:,}", f"{rows.unset:,}",
    )  # fmt: skip


def plan_notes(planned: Sequence[Plan | Unplanned]) -> list[str]:
    """What a person should know of the plan beyond its numbers, a line each."""
    return [f"{plan.policy}: {note}" for plan in planned if isinstance(plan, Plan) for note in plan.notes()]


def results_table(results: Sequence[Result]) -> Table:
    """What was done, a policy a row; of one at work, how far it has come."""
    table = _table(
        "Policy", "removed:>", "archived:>", "left:>", "looked at:>", "dead rows:>", "seconds:>", "outcome"
    )
    for result in results:
        left = "" if result.left is None else f"{result.left:,}"
        dead = f"{result.dead_tuples_before:,} → {result.dead_tuples_after:,}"
        table.add_row(
            result.policy, f"{result.removed:,}", f"{result.archived:,}", left, f"{result.examined:,}", dead,
            f"{result.seconds:.1f}", _outcome(result),
        )  # fmt: skip
    return table


def _outcome(result: Result) -> RenderableType:
    if result.outcome == "running" and (vacuum := result.details.get("progress")):
        return f"[cyan]{escape(str(vacuum['told']))}[/]"
    if result.outcome != "running" or not result.planned:
        colour = COLOURS.get(result.outcome, "red")
        return f"[{colour}]{result.outcome}[/]"
    rate = result.removed / result.working if result.working else 0.0
    time_left = f", {(result.planned - result.removed) / rate:,.0f} s left" if rate else ""
    progress = Table.grid(padding=(0, 1))
    bar = ProgressBar(total=result.planned, completed=min(result.removed, result.planned), width=20)
    progress.add_row(bar, f"{result.removed / result.planned:.0%}  {rate:,.0f}/s{time_left}")
    return progress


def reasons(results: Sequence[Result]) -> list[str]:
    """Why each policy that did not get to its end stopped, a line each."""
    return [
        f"{each.policy} {each.outcome}: {each.stopped_reason}"
        for each in results
        if each.stopped_reason not in {COMPLETED, ""}
    ]


def keys_table(found: Sequence[keys.Key]) -> Table:
    """The keys there are, revoked and expired ones too; times are in UTC."""
    table = _table("id", "name", "scopes", "created", "expires", "last used", "state")
    now = datetime.now(UTC)
    for key in found:
        state = key.state(now)
        table.add_row(
            str(key.id), escape(key.name), ", ".join(key.scopes), _minute(key.created_at),
            _minute(key.expires_at), _minute(key.last_used_at),
            "[green]valid[/]" if state == "valid" else f"{state} {_minute(key.revoked_at)}".rstrip(),
        )  # fmt: skip
    return table


def holds_table(found: Sequence[holds.Hold]) -> Table:
    """The holds there are, ended and released ones too; times are in UTC."""
    table = _table("id:>", "table", "where", "reason", "owner", "added", "by", "until", "state")
    now = datetime.now(UTC)
    for hold in found:
        released = f"released {_minute(hold.released_at)} by {escape(hold.released_by or '')}"
        states = {"active": "[green]active[/]", "unclear": "[red]unclear[/]", "released": released}
        state = states.get(hold.state(now), "ended")
        table.add_row(
            str(hold.id), escape(hold.table), escape(str(hold.predicate)), escape(hold.reason),
            escape(hold.owner), _minute(hold.created_at), escape(hold.created_by), _minute(hold.ends_at),
            state,
        )  # fmt: skip
    return table


def archives_table(found: Sequence[ArchivedFile]) -> Table:
    """The files of removed rows."""
    table = _table("table", "day", "rows:>", "bytes:>", "sha256", "removed", "state", "file")
    for part in found:
        state = f"restored {_minute(part.restored_at)}" if part.state == "restored" else part.state
        colour = {"damaged": "red", "unfinished": "yellow"}.get(part.state, "green")
        table.add_row(
            escape(part.table), part.day.isoformat() if part.day else "", f"{part.rows:,}", f"{part.bytes:,}",
            part.sha256[:12], _minute(part.created_at), f"[{colour}]{state}[/]", escape(part.path),
        )  # fmt: skip
    return table


def plans_table(found: Sequence[approvals.Plan]) -> Table:
    """The plans that wait for somebody to approve them."""
    table = _table("plan", "policy", "would remove:>", "of:>", "share:>", "older than", "stopped", "why")
    for plan in found:
        about = "" if plan.exact else "~"
        table.add_row(
            plan.id, plan.policy, f"{about}{plan.eligible:,}", f"{about}{plan.total:,}",
            f"{about}{plan.fraction:.1%}", _minute(plan.cutoff), _minute(plan.created_at),
            escape("; ".join(plan.reasons)),
        )  # fmt: skip
    return table


def _minute(time: datetime | None) -> str:
    return f"{time:%Y-%m-%d %H:%M}" if time else ""


def show_import(console: Console, report: ImportReport) -> None:
    """What an import came to, and why each rejected record was."""
    console.print(
        f"read {report.read:,}   stored {report.stored:,}   duplicate {report.duplicate:,}   "
        f"rejected {report.rejected:,}"
    )
    for each in report.rejections:
        where = each.file if each.record is None else f"{each.file}, record {each.record}"
        console.print(f"rejected {where}: {each.reason}", markup=False)


@contextmanager
def import_progress(console: Console) -> Iterator[Callable[[ImportProgress], None]]:
    """A bar over the files of an import, and what has come of them so far."""
    columns = (
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TextColumn("files   {task.fields[stored]:,} stored   {task.fields[duplicate]:,} duplicate"),
    )
    with Bar(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("import", total=None, stored=0, duplicate=0)

        def show(progress: ImportProgress) -> None:
            bar.update(
                task,
                completed=progress.done,
                total=progress.total,
                stored=progress.stored,
                duplicate=progress.duplicate,
            )

        yield show


@contextmanager
def watching(console: Console, urls: Sequence[str]) -> Iterator[None]:
    """Shows the policies' progress while the context lasts; on a terminal only."""
    if not console.is_terminal:
        yield
        return
    ended = threading.Event()
    moment = datetime.now(UTC)
    with Live(results_table([]), console=console, transient=True, auto_refresh=False) as live:

        def refresh() -> None:
            while not ended.wait(REFRESH_SECONDS):
                try:
                    live.update(results_table(_since(urls, moment)), refresh=True)
                except (DatabaseUnavailableError, psycopg.Error):
                    continue  # the run itself tells what is wrong with the database

        watcher = threading.Thread(target=refresh, name="watch", daemon=True)
        watcher.start()
        try:
            yield
        finally:
            ended.set()
            watcher.join()


def _since(urls: Sequence[str], moment: datetime) -> list[Result]:
    results: list[Result] = []
    for url in urls:
        with connect(url, "opsctl watch", statement_timeout="2s") as connection:
            results += history.results(connection, since=moment)
    return results


def _table(*headings: str) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    for heading in headings:
        title, number, _ = heading.partition(":>")
        table.add_column(title, justify="right" if number else "left", no_wrap=True)
    return table

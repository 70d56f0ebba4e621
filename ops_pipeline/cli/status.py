"""`opsctl status`: how maintenance stands, on one screen."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import typer
from rich import filesize
from rich.console import RenderableType

from ops_pipeline import settings
from ops_pipeline.archive import manifest
from ops_pipeline.cli import newest_run, tables
from ops_pipeline.cli.api_health import api_health
from ops_pipeline.cli.check import without_policies
from ops_pipeline.cli.context import chosen_databases, connected_to
from ops_pipeline.cli.newest_run import NewestRun
from ops_pipeline.cli.options import Database
from ops_pipeline.cli.output import NEEDS_APPROVAL, Json, answer, complain
from ops_pipeline.counted import counted
from ops_pipeline.diagnosis import next_run, sensors
from ops_pipeline.diagnosis.next_run import NextRun
from ops_pipeline.forward import position
from ops_pipeline.forward.position import TargetState
from ops_pipeline.holds import holds
from ops_pipeline.maintenance import kinds, overdue
from ops_pipeline.maintenance.guard import approvals
from ops_pipeline.maintenance.overdue import LastRuns
from ops_pipeline.opsctl import opsctl
from ops_pipeline.pauses import pauses
from ops_pipeline.pauses.pauses import Pause
from ops_pipeline.policies import model
from ops_pipeline.postgres import embedded
from ops_pipeline.postgres.connection import Connection
from ops_pipeline.postgres.rights import explained


def status(chosen: Database = None, as_json: Json = False) -> None:
    """Show the last and next run, pauses, what needs approval, holds and the archive. Changes nothing.

    Counts no rows: those remaining are from the last run. What has expired
    since: opsctl plan.

    Exits with 1 if a policy is late, failed, was interrupted, or stopped early
    or with rows remaining; if nothing starts the next run, unless `opsctl run`
    starts all of them; if maintenance is paused, the file OPS_THROTTLE_FILE
    exists, a database does not answer, a target of `opsctl forward` is behind
    for over an hour, or a check of the API other than `maintenance` fails; with
    3 if only approvals are pending. That no API runs on this machine does not
    count.
    """
    away: list[str] = []
    now = datetime.now(UTC)
    loaded = settings.load()
    statuses: list[DatabaseStatus] = []
    empty: list[model.Database] = []
    databases = chosen_databases(loaded, kinds.load(loaded.policies), chosen)
    with (
        embedded.resolved(loaded) as resolved,
        connected_to(chosen, "opsctl status", away, writes=False) as connections,
    ):
        dagster_url = resolved.dagster_database_url or ""
        next_runs = next_run.next_runs(dagster_url, databases, now)
        sensors_off = sensors.off(dagster_url)
        for database, connection in connections:
            with explained(connection):
                statuses.append(_status(database, connection, now, dagster_url, next_runs[database.name]))
            empty += [] if database.policies else [database]
    api = api_health(loaded)
    throttle_file = f"{loaded.throttle_file} exists" if loaded.throttle_file.exists() else None
    lines = [line for each in statuses for line in _lines(each, now)]
    reached = {each.database for each in statuses}
    lines += [
        f"{name}: unknown, because it does not answer; next run   {_next_run(of_database, now)}"
        for name, of_database in next_runs.items()
        if name not in reached
    ]
    answer(
        {
            "databases": statuses,
            "sensors_off": sensors_off,
            "throttle_file": throttle_file,
            "api": api,
            "unavailable": away,
        },
        *lines,
        *without_policies(model.Policies(tuple(empty))),
        *(f"Dagster: {sentence}" for sentence in sensors_off),
        *([f"Throttled: the file {throttle_file}. To continue: delete it"] if throttle_file else []),
        f"API at {api.url}: {api.status}" + (f" ({', '.join(api.failed)})" if api.failed else ""),
        as_json=as_json,
    )
    for problem in away:
        complain(problem)
    of_api = set(api.failed) - {JUDGED_HERE}
    if away or sensors_off or throttle_file or of_api or any(each.has_problem for each in statuses):
        raise typer.Exit(1)
    if any(each.approvals for each in statuses):
        raise typer.Exit(NEEDS_APPROVAL)


JUDGED_HERE = "maintenance"
"""The API's check of what `problems` says, which counts plans that need approval as well."""


@dataclass(frozen=True, slots=True)
class DatabaseStatus:
    """How the maintenance of a database stands. `problems`: a newest run that did not reach its end, and
    policies that are late, that failed or ended early in their newest run, or that have rows remaining,
    except those that wait for approval. `holds`: how many, by state."""

    database: str
    newest_run: NewestRun | None
    policies: Sequence[LastRuns]
    problems: Sequence[str]
    approvals: Sequence[approvals.StoredPlan]
    holds: dict[str, int]
    archive: manifest.ArchiveTotals
    pause: Pause | None
    next_run: NextRun
    forward: Sequence[TargetState]

    @property
    def has_problem(self) -> bool:
        """Whether a person has to do something besides approving a plan."""
        late = any(target.is_late for target in self.forward)
        return bool(self.problems or self.pause or late or (self.policies and self.next_run.problem))


def _status(
    database: model.Database, connection: Connection, now: datetime, dagster_url: str, next_run_: NextRun
) -> DatabaseStatus:
    pending = approvals.pending(connection)
    to_approve = {plan.policy for plan in pending}
    due = overdue.last_scheduled(database.schedule, now)
    runs = overdue.last_runs(connection, [policy.name for policy in database.policies])
    newest = newest_run.find(dagster_url, connection, database.policies, runs)
    problems = [
        newest.problem if newest is not None else None,
        *(_problem(of_policy, due) for of_policy in runs if of_policy.policy not in to_approve),
    ]
    has_run = any(of_policy.started_at for of_policy in runs)
    states = Counter(hold.state(now) for hold in holds.list_holds(connection))
    return DatabaseStatus(
        database.name,
        newest,
        runs,
        [problem for problem in problems if problem],
        pending,
        {state: states[state] for state in ("active", "unclear") if states[state]},
        manifest.totals(connection),
        pauses.active(connection),
        next_run.BY_COMMAND if next_run_ == next_run.NEVER and has_run else next_run_,
        position.targets(connection),
    )


def _problem(runs: LastRuns, due: datetime) -> str | None:
    if problem := overdue.problem(runs, due):
        return problem
    if runs.ended_outcome == "needs_approval" and runs.remaining:  # its plan was approved
        remain = counted(runs.remaining, "row remains", "rows remain")
        run = opsctl("run", policies=[runs.policy])
        return f"{runs.policy}: {remain} until the next run. To run it now: {run}"
    return None


def _lines(status: DatabaseStatus, now: datetime) -> Iterator[RenderableType]:
    if status.policies:
        yield tables.status_table(status.policies)
        yield ""
    yield f"{status.database}: last run   {newest_run.in_words(status.newest_run)}"
    indent = " " * (len(status.database) + 2)
    if status.pause is not None:
        yield f"{indent}PAUSED     {status.pause.in_words(status.database)}"
    for runs in status.policies:
        if runs.outcome == "running" and runs.throttled_since is not None:
            since = f"{runs.throttled_since.astimezone(UTC):%H:%M:%S} UTC"
            yield f"{indent}throttled  {runs.policy}: since {since}, {runs.throttle_reason}"
    yield f"{indent}next run   {_next_run(status.next_run, now)}"
    waiting = f"{counted(len(status.approvals), 'plan needs', 'plans need')} approval"
    yield f"{indent}approvals  {waiting if status.approvals else 'none'}"
    for plan in approvals.to_approve(status.approvals):
        yield f"{indent}           {plan.policy}: opsctl approve {plan.id}"
    states = ", ".join(f"{number} {state}" for state, number in status.holds.items())
    yield f"{indent}holds      {states or 'none'}"
    yield f"{indent}archive    {_archived(status.archive)}"
    for target in status.forward:
        yield f"{indent}forward    {target.in_words}"
    no_problem = "no problem besides the approvals" if status.approvals else "no problem"
    yield f"{indent}policies   {'a problem:' if status.problems else no_problem}"
    for problem in status.problems:
        yield f"{indent}           {problem}"
    yield ""


def _next_run(next_run: NextRun, now: datetime) -> str:
    at = f"{next_run.at:%Y-%m-%d %H:%M} UTC, in {_until(next_run.at, now)}" if next_run.at else ""
    remedy = f": {next_run.remedy}" if next_run.remedy else ""
    said = (at, next_run.note, f"{next_run.problem}{remedy}" if next_run.problem else "")
    return "; ".join(part for part in said if part)


def _until(time: datetime, now: datetime) -> str:
    hours, minutes = divmod(round((time - now).total_seconds() / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


def _archived(archive: manifest.ArchiveTotals) -> str:
    if not archive.files:
        return "empty"
    size = filesize.decimal(archive.bytes)
    parts = [
        f"{counted(archive.rows, 'row')} in {counted(archive.files, 'file')}, {size}",
        f"newest {archive.newest:%Y-%m-%d %H:%M} UTC" if archive.newest else "",
        f"{archive.damaged:,} damaged" if archive.damaged else "",
        f"{archive.unfinished:,} unfinished" if archive.unfinished else "",
    ]
    return ", ".join(part for part in parts if part)

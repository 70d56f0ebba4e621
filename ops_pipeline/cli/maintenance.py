"""A night over all databases of the policies, as `opsctl` asks for it."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import psycopg
from rich.console import Console

from ops_pipeline import settings
from ops_pipeline.audit.store import AUDIT_LOGS
from ops_pipeline.cli import tables
from ops_pipeline.maintenance import history, kinds
from ops_pipeline.maintenance.guard import approvals
from ops_pipeline.maintenance.plan import Plan, Unplanned
from ops_pipeline.maintenance.result import RunResult
from ops_pipeline.partitions.premake import premake
from ops_pipeline.policies.file import PolicyError
from ops_pipeline.policies.model import Database, Policies
from ops_pipeline.postgres import migrations
from ops_pipeline.postgres.connection import Connection, DatabaseUnavailableError, connect
from ops_pipeline.postgres.relation import find_relation


@dataclass(frozen=True, slots=True)
class Night:
    """What a run of all policies came to."""

    run_id: str
    status: str
    succeeded: bool
    policies: tuple[RunResult, ...]
    failures: tuple[str, ...]

    @property
    def nothing_left(self) -> bool:
        """Whether no policy that removes rows has left any."""
        return all(each.left == 0 for each in self.policies if "/vacuum" not in each.policy)

    @property
    def guarded(self) -> tuple[RunResult, ...]:
        """The policies whose plan a person has to approve before anything goes."""
        return tuple(each for each in self.policies if each.outcome == "needs_approval")

    def after(self, earlier: "Night") -> "Night":
        """This night, with what an earlier one of the same policies had removed counted in."""
        together = tuple(
            replace(
                each,
                removed=each.removed + before.removed,
                archived=each.archived + before.archived,
                examined=max(each.examined, before.examined),
                seconds=each.seconds + before.seconds,
            )
            for each, before in zip(self.policies, earlier.policies, strict=True)
        )
        return replace(self, policies=together)


@dataclass(frozen=True, slots=True)
class Migrated:
    """What a database needed: the migrations that were applied, and day partitions made ahead."""

    database: str
    applied: tuple[str, ...] = ()
    partitions_created: int = 0
    failed: str | None = None


def migrate(resolved: settings.Settings, policies: Policies | None) -> list[Migrated]:
    """Migrates the database of `OPS_DATABASE_URL` and every one of the policies, each by itself.

    One that fails keeps none of the others; what it said is in its result.
    """
    urls = (
        {each.url(settings.environment(resolved)): each.name for each in policies.databases}
        if policies
        else {}
    )
    if resolved.database_url is not None:
        urls.setdefault(resolved.database_url, "OPS_DATABASE_URL")
    return [_migrate(name, url) for url, name in urls.items()]


def check(resolved: settings.Settings, policies: Policies) -> None:
    """Holds every policy against its database. Raises PolicyError with all problems of all of them.

    One of several databases that does not answer is left to its own steps, which name it. Raises
    DatabaseUnavailableError when none answers.
    """
    problems: list[str] = []
    away: list[str] = []
    for each, connection in _each(resolved, policies, "opsctl check", away):
        try:
            kinds.check(connection, each.policies)
        except PolicyError as error:
            problems += error.problems
    if problems:
        raise PolicyError(problems)
    if away and len(away) == len(policies.databases):
        raise DatabaseUnavailableError("\n".join(away))


def plan(resolved: settings.Settings, policies: Policies) -> list[Plan | Unplanned]:
    """What each policy of each database would remove now, or why that cannot be said."""
    return list(kinds.plan_all(policies, settings.environment(resolved)))


def run(resolved: settings.Settings, policies: Policies, console: Console) -> Night:
    """Carries the policies out as a Dagster run, showing them on the console as they go."""
    # Dagster takes seconds to import, and most of what `opsctl` does needs none of it.
    from ops_pipeline.orchestration import launch  # noqa: PLC0415

    names = [rule.name for _, rule in policies]
    urls = [each.url(settings.environment(resolved)) for each in policies.databases]
    with tables.watching(console, urls):
        ended = launch.run_night(resolved)
    results = {
        result.policy: result
        for _, connection in _each(resolved, policies, "opsctl run", [])
        for result in history.results(connection, dagster_run_id=ended.id)
    }
    complete = tuple(results.get(name) or _not_run(name) for name in names)
    return Night(ended.id, ended.status, ended.succeeded, complete, ended.failures)


def approve(resolved: settings.Settings, policies: Policies, waiting: Night, by: str) -> None:
    """Lets the plans through that stopped this night, as `opsctl approve` would one by one."""
    plans = {each.policy: str(each.details["plan"]) for each in waiting.guarded}
    for each, connection in _each(resolved, policies, "opsctl approve", []):
        for rule in each.policies:
            if rule.name in plans:
                approvals.approve(connection, plans[rule.name], by)


def environment(resolved: settings.Settings) -> dict[str, str]:
    """What the API and Dagster need to run beside each other."""
    from ops_pipeline.orchestration import instance  # noqa: PLC0415 - as above

    return instance.prepare(resolved)


def _not_run(name: str) -> RunResult:
    reason = "it could not begin; the failure of its step says why"
    return RunResult(name, "skipped", reason, examined=0, removed=0, left=None, seconds=0)


def _each(
    resolved: settings.Settings, policies: Policies, application_name: str, away: list[str]
) -> Iterator[tuple[Database, Connection]]:
    for each in policies.databases:
        try:
            connection = connect(each.url(settings.environment(resolved)), application_name)
        except DatabaseUnavailableError as error:
            away.append(f"{each.name}: {error}")
            continue
        with connection:
            yield each, connection


def _migrate(name: str, url: str) -> Migrated:
    try:
        applied = migrations.migrate(url)
        with connect(url, "opsctl migrate") as connection:
            created = premake(connection, find_relation(connection, AUDIT_LOGS))
    except (DatabaseUnavailableError, migrations.AuditLogsTakenError, psycopg.Error) as error:
        return Migrated(name, failed=str(error))
    return Migrated(name, tuple(applied), created)

"""A night over all databases of the policies, as `opsctl` asks for it."""

from collections.abc import Iterator
from dataclasses import dataclass

from rich.console import Console

from ops_pipeline import database, policy, settings, terminal
from ops_pipeline.maintenance import catalog, history
from ops_pipeline.maintenance.plan import Planned
from ops_pipeline.maintenance.plan import plan as plan_database
from ops_pipeline.maintenance.result import Result
from ops_pipeline.orchestration import instance, launch
from ops_pipeline.policy_file import PolicyError


@dataclass(frozen=True, slots=True)
class Night:
    """What a run of all policies came to."""

    run_id: str
    status: str
    succeeded: bool
    policies: tuple[Result, ...]
    failures: tuple[str, ...]

    @property
    def nothing_left(self) -> bool:
        """Whether no policy that removes rows has left any."""
        return all(each.left == 0 for each in self.policies if "/vacuum" not in each.policy)


def check(resolved: settings.Settings, policies: policy.Policies) -> None:
    """Holds every policy against its database. Raises PolicyError with all problems of all of them."""
    problems: list[str] = []
    for each, connection in _each(resolved, policies, "opsctl check"):
        try:
            catalog.check(connection, each)
        except PolicyError as error:
            problems += error.problems
    if problems:
        raise PolicyError(problems)


def plan(resolved: settings.Settings, policies: policy.Policies) -> list[Planned]:
    """What each policy of each database would remove now."""
    return [
        planned
        for each, connection in _each(resolved, policies, "opsctl plan")
        for planned in plan_database(connection, each)
    ]


def run(resolved: settings.Settings, policies: policy.Policies, console: Console) -> Night:
    """Carries the policies out as a Dagster run, showing them on the console as they go."""
    names = [rule.name for _, rule in policies]
    urls = [each.url(settings.environment(resolved)) for each in policies.databases]
    with terminal.watching(console, urls):
        ended = launch.run_night(resolved)
    results = {
        result.policy: result
        for _, connection in _each(resolved, policies, "opsctl run")
        for result in history.results(connection, dagster_run_id=ended.id)
    }
    complete = tuple(results.get(name) or _not_run(name) for name in names)
    return Night(ended.id, ended.status, ended.succeeded, complete, ended.failures)


def environment(resolved: settings.Settings) -> dict[str, str]:
    """What the API and Dagster need to run beside each other."""
    return instance.prepare(resolved)


def _not_run(name: str) -> Result:
    return Result(name, "skipped", "an earlier step failed", examined=0, removed=0, left=None, seconds=0)


def _each(
    resolved: settings.Settings, policies: policy.Policies, application_name: str
) -> Iterator[tuple[policy.Database, database.Connection]]:
    for each in policies.databases:
        url = each.url(settings.environment(resolved))
        with database.connect(url, application_name) as connection:
            yield each, connection

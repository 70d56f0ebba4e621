"""`opsctl check`: policies.yaml against the databases, each problem with its line."""

from collections.abc import Iterator

import typer

from ops_pipeline import settings
from ops_pipeline.cli.context import chosen_databases, connections
from ops_pipeline.cli.options import Database
from ops_pipeline.cli.output import Json, answer, complain
from ops_pipeline.counted import counted
from ops_pipeline.maintenance import kinds
from ops_pipeline.maintenance.plan import Planning
from ops_pipeline.policies import model
from ops_pipeline.policies.file import PolicyError
from ops_pipeline.policies.model import Policies
from ops_pipeline.postgres import embedded
from ops_pipeline.postgres.rights import explained


def check(chosen: Database = None, as_json: Json = False) -> None:
    """Check policies.yaml against the databases. Changes nothing.

    Each problem, and each reason for which a run would refuse a policy, is
    reported with file and line. Counts no rows; `opsctl plan` does, and may
    refuse more policies. Exits with 2 if it reports a problem, with 1 if only
    a database does not answer.
    """
    loaded = settings.load()
    problems: list[str] = []
    away: list[str] = []
    policies = Policies(())
    try:
        policies = kinds.load(loaded.policies)
        policies = Policies(tuple(chosen_databases(loaded, policies, chosen)))
        with embedded.resolved(loaded) as resolved:
            problems += _problems(resolved, policies, away)
    except PolicyError as error:
        problems += error.problems
    fine = not (problems or away)
    answer(
        {"problems": problems, "unavailable": away},
        *without_policies(policies),
        *(_fine(policies) if fine else ()),
        as_json=as_json,
    )
    for problem in (*problems, *away):
        complain(problem)
    if not fine:
        raise typer.Exit(2 if problems else 1)


def _problems(resolved: settings.Settings, policies: Policies, away: list[str]) -> Iterator[str]:
    for database in policies.databases:
        try:
            for _, connection in connections(resolved, [database], "opsctl check", away):
                kinds.check(connection, database.policies)
                with explained(connection):
                    yield from _refusals(Planning(connection, archive_url=resolved.archive_url), database)
        except PolicyError as error:
            yield from error.problems


def _refusals(planning: Planning, database: model.Database) -> Iterator[str]:
    for policy in database.policies:
        if isinstance(policy, model.DeletingPolicy):
            for refusal in kinds.refusals_of(planning, policy):
                yield policy.place.problem("table", refusal)


def without_policies(policies: Policies) -> Iterator[str]:
    """A sentence about each database that has no policies."""
    for database in policies.databases:
        if not database.policies:
            place = f"{database.place.source.path}:{database.place.line}"
            keys = ", ".join(kind.name for kind in kinds.KINDS)
            yield f"{database.name} has no policies, so nothing runs in it. Add one under {place}: {keys}"


def _fine(policies: Policies) -> Iterator[str]:
    number = counted(sum(1 for _ in policies), "policy", "policies")
    names = ", ".join(database.name for database in policies.databases)
    if any(database.policies for database in policies.databases):
        yield f"No problems: {number} checked against {names}."

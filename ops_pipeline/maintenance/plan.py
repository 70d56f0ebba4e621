"""What the policies would remove now, and whether the guard would let them. Reads only."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import psycopg

import sql
from ops_pipeline import database, policy
from ops_pipeline.maintenance import catalog, guard, holds
from ops_pipeline.maintenance.planned import Planned, plan_one
from ops_pipeline.policy_file import PolicyError

__all__ = ["LIMIT_SECONDS", "Planned", "Unplanned", "plan", "plan_all", "plan_one"]

LIMIT_SECONDS = 30.0
"""How long the rows of one policy are counted before an estimate has to do."""


@dataclass(frozen=True, slots=True)
class Unplanned:
    """A policy of which nothing can be said now, and the `problem`. It hides none of the others."""

    policy: str
    problem: str
    eligible: None = None
    fraction: None = None
    method: None = None


def plan_all(
    policies: policy.Policies, environment: Mapping[str, str], *, limit_seconds: float = LIMIT_SECONDS
) -> Iterator[Planned | Unplanned]:
    """What every policy of every database would do now, in the order of the file.

    Each is asked over a connection to its database; one that does not answer leaves its policies unplanned.
    """
    for each in policies.databases:
        try:
            url = each.url(environment)
            with database.connect(url, "ops plan") as connection:
                yield from plan(connection, each, limit_seconds=limit_seconds)
        except (database.DatabaseUnavailableError, PolicyError) as error:
            yield from (Unplanned(rule.name, str(error)) for rule in each.policies)


def plan(
    connection: database.Connection, of: policy.Database, *, limit_seconds: float = LIMIT_SECONDS
) -> Iterator[Planned | Unplanned]:
    """What each policy of the database would do if it ran now, in the order of a night.

    An orphan whose parent tonight's retention has yet to remove is counted on the night itself.
    """
    for rule in of.policies:
        try:
            catalog.check(connection, replace(of, policies=(rule,)))
            planned = plan_one(connection, rule, limit_seconds=limit_seconds)
            yield replace(planned, stops=_stops(connection, rule, planned))
        except (PolicyError, holds.HoldUnclearError) as error:
            yield Unplanned(rule.name, str(error))
        except psycopg.Error as error:
            yield Unplanned(rule.name, (error.diag.message_primary or str(error)).strip())


def _stops(connection: database.Connection, rule: policy.Policy, planned: Planned) -> tuple[str, ...]:
    if isinstance(rule, policy.Vacuum) or not database.scalar(connection, sql.get("plan/migrated")):
        return ()
    return guard.reasons(connection, rule, planned, now=datetime.now(UTC))

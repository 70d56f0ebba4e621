"""Who started a Dagster run: kept in the run's tag, which only our own processes set."""

from dataclasses import dataclass, field
from uuid import UUID

import dagster as dg

STARTED_BY = "ops/started_by"
"""The run's tag with the person: the name of a key, of the operating system's user, or from a proxy."""
UNKNOWN = "unknown"
"""The tag's value where a client has set it, and the sign-in middleware does not know that client."""
IN_SCOPE = "ops_pipeline.person"
"""Where the sign-in middleware puts the Person in a request's ASGI scope, which no client can set."""

REFUSED_IN_SCOPE = "ops_pipeline.refused"
"""Where it puts Refused, in which the run coordinator leaves the launches that it has refused."""


@dataclass(frozen=True, slots=True)
class Person:
    """Who sends a request. `databases`: those of policies.yaml whose runs they may start; None: all.
    `key_id`: of the key that says so."""

    name: str
    databases: tuple[str, ...] | None = None
    key_id: UUID | None = None


@dataclass(slots=True)
class Refused:
    """The jobs of a request's refused launches: those that the person's key is not for, and those whose
    approvals cannot be given or whose configuration is not accepted."""

    outside_of_limit: list[str] = field(default_factory=list)
    unfit: list[str] = field(default_factory=list)


def started_by(run: dg.DagsterRun) -> str | None:
    """The person who started the run; None for a schedule, and where it is unknown."""
    person = run.tags.get(STARTED_BY)
    return None if person == UNKNOWN else person

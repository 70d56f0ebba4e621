"""Who started a Dagster run: kept in the run's tag, which only our own processes set."""

from dataclasses import dataclass

import dagster as dg

STARTED_BY = "ops/started_by"
"""The run's tag with the person: the name of a key, of the operating system's user, or from a proxy."""
UNKNOWN = "unknown"
"""The tag's value where a client has set it, and the sign-in middleware does not know that client."""
IN_SCOPE = "ops_pipeline.person"
"""Where the sign-in middleware puts the Person in a request's ASGI scope, which no client can set."""


@dataclass(frozen=True, slots=True)
class Person:
    """Who sends a request. `databases`: those of policies.yaml whose runs they may start; None: all."""

    name: str
    databases: tuple[str, ...] | None = None


def started_by(run: dg.DagsterRun) -> str | None:
    """The person who started the run; None for a schedule, and where it is unknown."""
    person = run.tags.get(STARTED_BY)
    return None if person == UNKNOWN else person

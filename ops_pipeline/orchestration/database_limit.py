"""Refuses runs of databases for which a person's key is not."""

import dagster as dg

from ops_pipeline import settings
from ops_pipeline.access.keys import MAINTENANCE
from ops_pipeline.maintenance import kinds
from ops_pipeline.orchestration import run_ownership
from ops_pipeline.orchestration.identity import Person

NOTHING = "Nothing was approved and the run did not start."


class DatabaseLimitError(Exception):
    """The person's key is not for every database of the run; the message says which would be right."""


def refuse_other_databases(run: dg.DagsterRun, person: Person | None, consequence: str = NOTHING) -> None:
    """Raises DatabaseLimitError unless the person's key is for every database that the run works on.

    A limited key is for no run of which the databases are unknown: one of another code location, or without
    a policy. `consequence`: what did not happen, for the message. Raises PolicyError when the policies cannot
    be read.
    """
    if person is None or person.databases is None:
        return
    own = ", ".join(person.databases)
    configured = settings.load()
    policies = kinds.load(configured.policies)
    known = (
        run_ownership.databases_of(policies, run) if run_ownership.is_of_our_location(run, configured) else []
    )
    others = [database.name for database in known if database.name not in person.databases]
    if known and not others:
        return
    what = f"works on {', '.join(others)}" if others else "is of no database of policies.yaml"
    jobs = [
        run_ownership.job_of(database) for database in policies.databases if database.name in person.databases
    ]
    launch = f"Launch {' or '.join(jobs)}. " if jobs else ""
    # A key for only the others would be refused as well.
    every = "".join(f" --database {database.name}" for database in known) if others else ""
    raise DatabaseLimitError(
        f"The key {person.name} is for runs of {own}, and this run (job {run.job_name}) {what}. "
        f"{consequence} {launch}For a key that may: "
        f"opsctl keys create --name NAME --scope {MAINTENANCE}{every}"
    )

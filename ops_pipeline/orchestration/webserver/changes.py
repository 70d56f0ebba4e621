"""Limits a person whose key is for some databases to runs of those: nothing else may be changed."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import dagster as dg

from ops_pipeline.orchestration.database_limit import DatabaseLimitError, refuse_other_databases
from ops_pipeline.orchestration.identity import Person
from ops_pipeline.orchestration.webserver.document import Document, Mutation
from ops_pipeline.orchestration.webserver.refusal import Refusal
from ops_pipeline.policies.file import PolicyError

LAUNCHES = {
    "launchRun", "launchPipelineExecution", "launchMultipleRuns",
    "launchRunReexecution", "launchPipelineReexecution",
}  # fmt: skip
"""They pass our run coordinator, which refuses runs of other databases."""
HARMLESS = {"logTelemetry", "setNuxSeen"}
"""What pages of the UI send by themselves."""
TERMINATES = {"terminateRun", "terminatePipelineExecution", "terminateRuns"}
"""Each names its runs in `runId` or `runIds`."""
STAYS = "The run was not terminated."


@dataclass(frozen=True, slots=True)
class Changes:
    """`find_run`: looks a run of Dagster's instance up by its id."""

    find_run: Callable[[str], dg.DagsterRun | None]

    async def refuse(self, document: Document, person: Person) -> None:
        """Raises Refusal 403 when what was posted would change anything that the person's key is not for.

        Not every mutation of Dagster's passes our code: a backfill is started by the daemon, for which no
        person is known. So a limited key may only use those that are known to be limited.
        """
        if person.databases is None:
            return
        for mutation in document.mutations:
            if mutation.name in TERMINATES:
                await asyncio.to_thread(self._refuse_terminating, mutation, person)
            elif mutation.name not in LAUNCHES | HARMLESS:
                raise _refusal(person, mutation.name)

    def _refuse_terminating(self, mutation: Mutation, person: Person) -> None:
        given = [value for value in map(mutation.arguments.get, ("runId", "runIds")) if value is not None]
        for run_id in [one for value in given for one in (value if isinstance(value, list) else [value])]:
            # No storage can be asked for a text that is not printable: it may have half of a surrogate pair.
            if not isinstance(run_id, str) or not run_id.isprintable():
                raise _refusal(person, mutation.name)
            try:
                # Dagster itself says that a run does not exist.
                if (run := self.find_run(run_id)) is not None:
                    refuse_other_databases(run, person, STAYS)
            except (DatabaseLimitError, PolicyError) as error:
                raise Refusal(403, str(error)) from error


def _refusal(person: Person, what: str) -> Refusal:
    own = ", ".join(person.databases or ())
    return Refusal(
        403,
        f"The key {person.name} is for runs of {own}: it may launch, re-execute and terminate them, but "
        f"{what} is refused. Nothing was done. Instead of a backfill, launch the policy; for anything else "
        "use a key without --database",
    )

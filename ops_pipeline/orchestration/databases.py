"""How a Dagster step reaches the databases that the policies name."""

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg
from dagster._utils.interrupts import raise_interrupts_as

from ops_pipeline import database, embedded, policy, settings
from ops_pipeline.maintenance import catalog


class Databases(dg.ConfigurableResource[None]):
    """The databases of `policies.yaml`; where they are comes from the environment when a step runs."""

    @contextmanager
    def connect(self, wanted: policy.Database, step: str, run_id: str) -> Iterator[database.Connection]:
        """A connection for one step, after the database's policies were held against its tables.

        While it lasts it holds `run_lock(run_id)`: the proof that somebody carries the run on.

        Raises DatabaseUnavailableError, and PolicyError when a policy does not fit, before anything is done.
        """
        with self.reach(wanted, step) as connection:
            database.share_lock(connection, run_lock(run_id))
            catalog.check(connection, wanted)
            yield connection

    @contextmanager
    def reach(self, wanted: policy.Database, step: str) -> Iterator[database.Connection]:
        """A connection, and nothing more. Raises DatabaseUnavailableError, which names the database.

        What Dagster interrupts a step with, psycopg does not know: it would drop the connection and leave
        the statement to the server. For a KeyboardInterrupt it stops the statement first.
        """
        with raise_interrupts_as(KeyboardInterrupt), embedded.resolved(settings.load()) as resolved:
            url = wanted.url(settings.environment(resolved))
            try:
                connection = database.connect(url, f"ops {step}", lock_timeout="500ms")
            except database.DatabaseUnavailableError as error:
                raise database.DatabaseUnavailableError(f"{wanted.name}: {error}") from error
            with connection:
                yield connection


def run_lock(run_id: str) -> str:
    """The advisory lock that every step of that Dagster run holds, shared, in the database it works on."""
    return f"ops: dagster run {run_id}"

"""How a Dagster step reaches the databases that the policies name."""

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from ops_pipeline import database, embedded, policy, settings
from ops_pipeline.maintenance import catalog


class Databases(dg.ConfigurableResource[None]):
    """The databases of `policies.yaml`; where they are comes from the environment when a step runs."""

    @contextmanager
    def connect(self, wanted: policy.Database, step: str) -> Iterator[database.Connection]:
        """A connection for one step, after the database's policies were held against its tables.

        Raises PolicyError when one of them does not fit, before anything is done.
        """
        with embedded.resolved(settings.load()) as resolved:
            url = wanted.url(settings.environment(resolved))
            with database.connect(url, f"ops {step}", lock_timeout="500ms") as connection:
                catalog.check(connection, wanted)
                yield connection

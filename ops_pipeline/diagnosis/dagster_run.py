"""One run as Dagster's database has it: whether it has ended, and which policies it includes."""

from dataclasses import dataclass
from datetime import timedelta

import psycopg

import sql
from ops_pipeline.policies.identity import Identity
from ops_pipeline.postgres.connection import DatabaseUnavailableError, connect_bare

SILENT_FOR = timedelta(minutes=2)
"""A run whose last event is older is lost where no step of it is connected. Between two steps none is."""


@dataclass(frozen=True, slots=True)
class DagsterRun:
    """A run. `is_silent`: it has written no event for SILENT_FOR. `steps`, `assets`: the keys of those that
    it was launched for; None: all of its job."""

    ended: bool
    is_silent: bool
    steps: frozenset[str] | None
    assets: frozenset[str] | None

    def includes(self, policy: Identity) -> bool:
        """Whether the run was to carry out the policy."""
        if self.steps is not None:  # Dagster writes them for every run that it has planned
            return policy.op_name in self.steps
        return self.assets is None or "/".join(policy.path) in self.assets


def find(dagster_url: str, run_id: str) -> DagsterRun | None:
    """The run; None where Dagster has deleted it, or where its database cannot be read."""
    try:
        with connect_bare(dagster_url) as connection:
            found = connection.execute(sql.get("diagnosis/dagster_run"), {"run_id": run_id}).fetchone()
    except (DatabaseUnavailableError, psycopg.Error):
        return None  # `next_run` reports it
    if found is None:
        return None
    ended, silent_seconds, *launched_for = found
    is_silent = silent_seconds is None or silent_seconds > SILENT_FOR.total_seconds()
    steps, assets = (None if keys is None else frozenset(keys) for keys in launched_for)
    return DagsterRun(ended, is_silent, steps, assets)

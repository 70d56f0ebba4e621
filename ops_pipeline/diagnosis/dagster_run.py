"""One run as Dagster's database has it: whether it has ended, and which policies it includes."""

from dataclasses import dataclass

import psycopg

import sql
from ops_pipeline.postgres.connection import DatabaseUnavailableError, connect_bare


@dataclass(frozen=True, slots=True)
class DagsterRun:
    """A run. `selected`: the policies that it was launched for, by name; None: all of its job."""

    ended: bool
    selected: frozenset[str] | None

    def includes(self, policy: str) -> bool:
        """Whether the run was to carry out the policy."""
        return self.selected is None or policy in self.selected


def find(dagster_url: str, run_id: str) -> DagsterRun | None:
    """The run; None where Dagster has deleted it, or where its database cannot be read."""
    try:
        with connect_bare(dagster_url) as connection:
            found = connection.execute(sql.get("diagnosis/dagster_run"), {"run_id": run_id}).fetchone()
    except (DatabaseUnavailableError, psycopg.Error):
        return None  # `next_run` reports it
    if found is None:
        return None
    ended, selected = found
    return DagsterRun(ended, None if selected is None else frozenset(selected))

"""Defines a diagnosis: a yes-or-no question, and the remedy when the answer is no."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import sql
from ops_pipeline.finding import Finding
from ops_pipeline.maintenance.orphans.policy import Orphans
from ops_pipeline.policies.file import PolicyError
from ops_pipeline.policies.model import Database, DeletingPolicy, Policies, Policy
from ops_pipeline.postgres.connection import Connection, DatabaseUnavailableError, scalar
from ops_pipeline.postgres.relation import Relation, TableName, find_relation
from ops_pipeline.settings import Settings

Severity = Literal["error", "warning", "info"]
"""error: a policy cannot run, or rows are in danger. warning: a result will differ from what the policies
say, or costs more than necessary. info: no action is required."""


@dataclass(frozen=True, slots=True)
class Examination:
    """What a diagnosis examines: a database, its policies, and the settings with which they run."""

    connection: Connection
    policies: Sequence[Policy]
    settings: Settings
    database: Database | None = None

    def deleting(self) -> Iterator[tuple[DeletingPolicy, Relation, Relation | None]]:
        """Each policy that deletes rows, with its table and, for an orphans policy, the parent.

        A policy whose tables do not exist is left out: `policy_mismatch` reports it.
        """
        for policy in self.policies:
            if not isinstance(policy, DeletingPolicy):
                continue
            table = self._existing(policy.table)
            parent = self._existing(policy.parent) if isinstance(policy, Orphans) else None
            if table is not None and (parent is not None or not isinstance(policy, Orphans)):
                yield policy, table, parent

    def migrated_connection(self) -> Connection:
        """The connection, to a database that has our tables. Raises NotAskedError."""
        if not scalar(self.connection, sql.get("postgres/migrated")):
            raise NotAskedError("the database is not migrated")
        return self.connection

    def _existing(self, table: TableName) -> Relation | None:
        try:
            return find_relation(self.connection, table)
        except LookupError:
            return None


class NotAskedError(Exception):
    """A question cannot be asked, or does not apply; the message says why. That is not a finding."""


@dataclass(frozen=True, slots=True)
class Installation:
    """What questions examine that concern no single database of the policies.

    `settings`: with the database URLs filled in. `policies`, `dagster`: or the error with which the file, or
    Dagster's database, could not be read. `load_location` loads the code location in a process of its own.
    `send_test` posts a test message to OPS_WEBHOOK_URL; None: not requested. `sleep`: seconds.
    """

    settings: Settings
    policies: Policies | PolicyError
    dagster: Connection | DatabaseUnavailableError
    load_location: Callable[[Settings], str | None]
    send_test: Callable[[], None] | None
    sleep: Callable[[float], None]

    def databases(self) -> Sequence[Database]:
        """The databases of the policies. Raises NotAskedError."""
        if isinstance(self.policies, PolicyError):
            raise NotAskedError("policies.yaml cannot be read")
        return self.policies.databases

    def dagster_connection(self) -> Connection:
        """A connection to Dagster's database, in which Dagster has created its tables. Raises
        NotAskedError."""
        if isinstance(self.dagster, DatabaseUnavailableError):
            raise NotAskedError("Dagster's database does not answer")
        if not scalar(self.dagster, sql.get("diagnosis/has_dagster")):
            raise NotAskedError("Dagster has not run here yet")
        return self.dagster


Find = Callable[[Examination], Iterable[Finding]]
"""Queries the database, reads only. Raises psycopg.Error, for example when a privilege is missing."""

Explain = Callable[[str, DatabaseUnavailableError], Iterable[Finding]]
"""Explains why no connection to the database at that URL is possible, from the error."""


Look = Callable[[Installation], Iterable[Finding]]
"""Examines the installation. Raises NotAskedError, and psycopg.Error of Dagster's database."""


def _nothing(*_: object) -> Iterable[Finding]:
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """A question to a database of the policies, or to the installation.

    `id` is stable. `question`: the answer should be yes. `remedy`: the fix in general; each finding has its
    own. `find` queries a connection to a database; `explain` is called when no connection is possible.
    `look` examines the installation.
    """

    id: str
    severity: Severity
    question: str
    remedy: str
    find: Find = _nothing
    explain: Explain = _nothing
    look: Look = _nothing

    @property
    def concerns_installation(self) -> bool:
        """Whether it is asked once, not of each database."""
        return self.look is not _nothing

"""Defines a diagnosis: a yes-or-no question to a database, and the remedy when the answer is no."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from ops_pipeline.finding import Finding
from ops_pipeline.maintenance.orphans.policy import Orphans
from ops_pipeline.policies.model import DeletingPolicy, Policy
from ops_pipeline.postgres.connection import Connection, DatabaseUnavailableError
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

    def _existing(self, table: TableName) -> Relation | None:
        try:
            return find_relation(self.connection, table)
        except LookupError:
            return None


Find = Callable[[Examination], Iterable[Finding]]
"""Queries the database, reads only. Raises psycopg.Error, for example when a privilege is missing."""

Explain = Callable[[str, DatabaseUnavailableError], Iterable[Finding]]
"""Explains why no connection to the database at that URL is possible, from the error."""


def _nothing(*_: object) -> Iterable[Finding]:
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """A question to a database.

    `id` is stable. `question`: the answer should be yes. `remedy`: the fix in general; each finding has its
    own. `find` queries a connection; `explain` is called when no connection is possible.
    """

    id: str
    severity: Severity
    question: str
    remedy: str
    find: Find = _nothing
    explain: Explain = _nothing

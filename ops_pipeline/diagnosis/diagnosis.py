"""What a diagnosis is: a question to a database, and what to do where the answer is not as it should be."""

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
"""error: a policy cannot run, or rows are in danger. warning: something will not be as the policies say, or
costs more than it has to. info: good to know; nothing has to be done."""


@dataclass(frozen=True, slots=True)
class Examination:
    """What is asked: a database, its policies, and the settings with which they run."""

    connection: Connection
    policies: Sequence[Policy]
    settings: Settings

    def deleting(self) -> Iterator[tuple[DeletingPolicy, Relation, Relation | None]]:
        """Each policy that deletes rows, with its table and, of an orphans policy, the parent.

        One whose tables do not exist is left out: `policy_mismatch` names it.
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
"""Asks the database. Reads only. Raises psycopg.Error, where a right is missing for example."""

Explain = Callable[[str, DatabaseUnavailableError], Iterable[Finding]]
"""Of a database at that URL which cannot be asked, because of that error."""


def _nothing(*_: object) -> Iterable[Finding]:
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """A question to a database.

    `id` is a name that stays. `question`: answered with yes, all is well. `remedy`: what helps in general;
    each finding has what helps there. `find` asks a connection, `explain` why there is none.
    """

    id: str
    severity: Severity
    question: str
    remedy: str
    find: Find = _nothing
    explain: Explain = _nothing

"""The type of a kind of policy (retention, orphans, vacuum): everything specific to it, in one value."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pkgutil import resolve_name
from typing import Any, Generic, TypeVar

from ops_pipeline.maintenance.batches.batch import PolicyRun
from ops_pipeline.maintenance.check import PolicyCheck
from ops_pipeline.maintenance.plan import Plan, Planning
from ops_pipeline.maintenance.result import Work
from ops_pipeline.policies.file import OwnedSection
from ops_pipeline.policies.load import PolicyEntry
from ops_pipeline.policies.model import Policy
from ops_pipeline.postgres.connection import Connection
from ops_pipeline.postgres.relation import TableName
from ops_pipeline.settings import Settings

AnyPolicy = TypeVar("AnyPolicy", bound=Policy)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind(Generic[AnyPolicy]):
    """A kind of policy. Adding one is a folder with these parts and an entry in `kinds.KINDS`.

    In policies.yaml: `name` is its key, `section` the type of an entry, `several` whether the key has a list
    of them; `read` turns an entry into a policy, and `ordered` sorts those of a database into the order of a
    run (default: as in the file).

    Against a database: `problems` lists what is invalid, `plan` says what a run would do, `carry_out` does
    it. `runs` names the function (`module:function`) that is called; it is loaded when it runs, because it
    may need Arrow. `checks`: what must be true afterwards.

    `after`: the earlier policies that a policy depends on (default: none).

    For people: `describe` returns a paragraph about a policy, `tables` the tables it is about. `deletes`:
    whether it deletes rows, and so can have a backlog. `detail_tables`: titles of tables, and which of a
    run's details each shows.
    """

    name: str
    section: type[OwnedSection]
    several: bool
    read: Callable[[PolicyEntry[Any]], AnyPolicy]
    problems: Callable[[Connection, AnyPolicy], Sequence[str]]
    plan: Callable[[Planning, AnyPolicy], Plan]
    runs: str
    checks: Callable[[AnyPolicy], Iterable[PolicyCheck]]
    describe: Callable[[AnyPolicy], str]
    tables: Callable[[AnyPolicy], tuple[TableName, ...]]
    deletes: bool
    ordered: Callable[[Sequence[AnyPolicy]], Sequence[AnyPolicy]] = tuple
    after: Callable[[AnyPolicy, Sequence[Policy]], Sequence[Policy]] = lambda _policy, _earlier: ()
    detail_tables: Mapping[str, str] = field(default_factory=dict)

    def carry_out(self, run: PolicyRun, policy: AnyPolicy, settings: Settings) -> Work:
        """Carries the policy out. Raises RefusedError before anything is done, and psycopg.Error."""
        function: Callable[[PolicyRun, AnyPolicy, Settings], Work] = resolve_name(self.runs)
        return function(run, policy, settings)

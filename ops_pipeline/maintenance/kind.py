"""What a kind of policy is: all that is special about it, in one value."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pkgutil import resolve_name
from typing import Any, Generic, TypeVar

from ops_pipeline.maintenance.batches.batch import PolicyRun
from ops_pipeline.maintenance.check import PolicyCheck
from ops_pipeline.maintenance.plan import Plan, Planning
from ops_pipeline.maintenance.result import Work
from ops_pipeline.policies.file import Section
from ops_pipeline.policies.load import PolicyEntry
from ops_pipeline.policies.model import Policy
from ops_pipeline.postgres.connection import Connection
from ops_pipeline.postgres.relation import TableName
from ops_pipeline.settings import Settings

AnyPolicy = TypeVar("AnyPolicy", bound=Policy)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind(Generic[AnyPolicy]):
    """A kind of policy. Adding one is a folder with these parts and an entry in `kinds.KINDS`.

    In policies.yaml: `name` is its key, `section` an entry, `several` whether there is a list of them;
    `read` makes an entry a policy and `ordered` brings those of a database into the order of a run (as the
    file has them).

    Against a database: `problems` names what does not fit, `plan` says what a run would do, `carry_out` does
    it. `runs` names the function (`module:function`) that is called; it is loaded when it runs, because it
    may need Arrow. `checks`: what must hold afterwards.

    `after`: which of the policies before it a policy depends on (none).

    For people: `describe` a policy in a paragraph, `tables` it is about. `deletes`: whether it deletes rows,
    and so can leave a backlog. `detail_tables`: titles of tables, and which of a run's details each shows.
    """

    name: str
    section: type[Section]
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
        """Does what the policy says. Raises RefusedError before anything is done, and psycopg.Error."""
        function: Callable[[PolicyRun, AnyPolicy, Settings], Work] = resolve_name(self.runs)
        return function(run, policy, settings)

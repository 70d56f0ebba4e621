"""A kind of policy in one file: it refreshes materialized views. CONTRIBUTING.md explains it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

from psycopg import sql as compose

from ops_pipeline.maintenance.batches.batch import PolicyRun
from ops_pipeline.maintenance.check import CheckResult, PolicyCheck
from ops_pipeline.maintenance.kind import Kind
from ops_pipeline.maintenance.plan import Method, Plan, Planning
from ops_pipeline.maintenance.result import COMPLETED, Work
from ops_pipeline.policies.file import OwnedSection
from ops_pipeline.policies.identity import Identity
from ops_pipeline.policies.load import PolicyEntry
from ops_pipeline.policies.model import Policy
from ops_pipeline.policies.values import Table
from ops_pipeline.postgres.connection import Connection
from ops_pipeline.postgres.relation import TableName
from ops_pipeline.settings import Settings

POPULATED = """
SELECT c.relispopulated FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = %(schema)s AND c.relname = %(name)s AND c.relkind = 'm'
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refresh(Policy):
    """Refreshes the materialized view `view`."""

    view: TableName

    kind: ClassVar[str] = "refresh"


class RefreshSection(OwnedSection):
    """An entry of `refresh`."""

    view: Table


def read(entry: PolicyEntry[RefreshSection]) -> Refresh:
    view = entry.section.view
    identity = Identity(entry.database, Refresh.kind, view)
    return Refresh(identity=identity, view=view, throttle=entry.throttle, place=entry.place)


def problems(connection: Connection, policy: Refresh) -> Sequence[str]:
    if _populated(connection, policy) is None:
        return [policy.place.problem("view", f'materialized view "{policy.view}" does not exist')]
    return []


def plan(planning: Planning, policy: Refresh) -> Plan:
    with planning.snapshot() as connection:
        why = "it has rows" if _populated(connection, policy) else "it is empty"
        return Plan(policy=policy.name, method=Method("REFRESH MATERIALIZED VIEW", why))


def run(run: PolicyRun, policy: Refresh, settings: Settings) -> Work:
    statement = compose.SQL("REFRESH MATERIALIZED VIEW {}").format(policy.view.identifier)
    run.connection.execute(statement)
    return Work(COMPLETED, 0)


def checks(policy: Refresh) -> Iterator[PolicyCheck]:
    def is_populated(connection: Connection) -> CheckResult:
        if _populated(connection, policy):
            return CheckResult(True, f"{policy.view} can be queried")
        return CheckResult(False, f"{policy.view} is not populated")

    yield PolicyCheck("view_populated", f"{policy.view} can be queried.", is_populated)


REFRESH = Kind(
    name=Refresh.kind,
    section=RefreshSection,
    several=True,
    read=read,
    ordered=lambda policies: policies,
    problems=problems,
    plan=plan,
    runs=f"{__name__}:run",
    checks=checks,
    after=lambda _policy, earlier: earlier,
    describe=lambda policy: f"Refreshes the materialized view **{policy.view}**.",
    tables=lambda _policy: (),
    deletes=False,
)


def _populated(connection: Connection, policy: Refresh) -> bool | None:
    values = {"schema": policy.view.schema, "name": policy.view.name}
    row = connection.execute(POPULATED, values).fetchone()
    return None if row is None else bool(row[0])

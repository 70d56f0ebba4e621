"""VACUUM as a kind of policy."""

from ops_pipeline.maintenance.kind import Kind
from ops_pipeline.maintenance.vacuum.checks import checks
from ops_pipeline.maintenance.vacuum.plan import plan_vacuum
from ops_pipeline.maintenance.vacuum.policy import KIND, Vacuum, VacuumSection, ordered, read
from ops_pipeline.maintenance.vacuum.problems import problems
from ops_pipeline.postgres.relation import TableName


def _describe(policy: Vacuum) -> str:
    which = "every table" if policy.tables == "all" else ", ".join(map(str, policy.tables))
    needed = " that needs it, the most urgent first" if policy.mode == "auto" else ""
    return (
        f"VACUUM{' (ANALYZE)' if policy.analyze else ''} of {which}{needed}: reclaims the space of deleted "
        "rows for reuse."
    )


def _tables(policy: Vacuum) -> tuple[TableName, ...]:
    return () if policy.tables == "all" else policy.tables


VACUUM = Kind(
    name=KIND,
    section=VacuumSection,
    several=False,
    read=read,
    ordered=ordered,
    problems=problems,
    plan=plan_vacuum,
    runs="ops_pipeline.maintenance.vacuum.run:run_vacuum",
    checks=checks,
    after=lambda _policy, earlier: earlier,
    describe=_describe,
    tables=_tables,
    deletes=False,
    detail_tables={
        "gains": "tables",
        "left_alone": "skipped",
        "indexes": "indexes",
        "advice": "advice",
        "blockers": "blockers",
    },
)

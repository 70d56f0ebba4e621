"""Defines VACUUM as a kind of policy."""

from ops_pipeline.maintenance.kind import Kind
from ops_pipeline.maintenance.vacuum.checks import checks
from ops_pipeline.maintenance.vacuum.plan import plan_vacuum
from ops_pipeline.maintenance.vacuum.policy import KIND, Vacuum, VacuumSection, read
from ops_pipeline.maintenance.vacuum.problems import problems


def _describe(policy: Vacuum) -> str:
    which = "every table" if policy.tables == "all" else ", ".join(map(str, policy.tables))
    needed = " that needs it, the most urgent first" if policy.mode == "auto" else ""
    rebuilt = " Then rebuilds bloated B-tree indexes (REINDEX CONCURRENTLY)." if policy.reindex else ""
    return (
        f"VACUUM{' (ANALYZE)' if policy.analyze else ''} of {which}{needed}: reclaims the space of deleted "
        f"rows for reuse.{rebuilt}"
    )


VACUUM = Kind(
    name=KIND,
    section=VacuumSection,
    several=False,
    read=read,
    problems=problems,
    plan=plan_vacuum,
    runs="ops_pipeline.maintenance.vacuum.run:run_vacuum",
    checks=checks,
    after=lambda _policy, earlier: earlier,
    describe=_describe,
    tables=lambda policy: () if policy.tables == "all" else policy.tables,
    deletes=False,
    detail_tables={
        "gains": "tables",
        "left_alone": "skipped",
        "indexes": "indexes",
        "advice": "advice",
        "blockers": "blockers",
    },
)

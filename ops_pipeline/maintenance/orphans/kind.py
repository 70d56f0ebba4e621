"""Defines orphan cleanup as a kind of policy."""

from ops_pipeline.maintenance.kind import Kind
from ops_pipeline.maintenance.orphans.checks import checks
from ops_pipeline.maintenance.orphans.plan import plan_orphans
from ops_pipeline.maintenance.orphans.policy import KIND, Orphans, OrphansSection, after, ordered, read
from ops_pipeline.maintenance.orphans.problems import problems


def _describe(policy: Orphans) -> str:
    nulls = "an orphan too" if policy.null_is_orphan else "kept"
    return (
        f"Deletes rows of **{policy.table}** whose parent (`{policy.reference}`) has been missing from "
        f"**{policy.parent}** for the grace period. A row whose reference is NULL is {nulls}."
    )


ORPHANS = Kind(
    name=KIND,
    section=OrphansSection,
    several=True,
    read=read,
    ordered=ordered,
    problems=problems,
    plan=plan_orphans,
    runs="ops_pipeline.maintenance.orphans.run:run_orphans",
    checks=checks,
    after=after,
    describe=_describe,
    tables=lambda policy: (policy.table, policy.parent),
    deletes=True,
)

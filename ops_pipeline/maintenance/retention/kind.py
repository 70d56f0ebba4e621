"""Defines retention as a kind of policy."""

from ops_pipeline.maintenance.kind import Kind
from ops_pipeline.maintenance.retention.checks import checks
from ops_pipeline.maintenance.retention.plan import plan_retention
from ops_pipeline.maintenance.retention.policy import KIND, Retention, RetentionSection, read
from ops_pipeline.maintenance.retention.problems import problems
from ops_pipeline.policies.values import written


def _describe(policy: Retention) -> str:
    archived = (
        " Each row is written to the archive and read back before it is deleted." if policy.archive else ""
    )
    limits = policy.throttle
    is_throttled = (limits.replica_lag, limits.lock_queue, limits.active_sessions, limits.wal_rate) != (
        None,
    ) * 4
    throttled = ", throttled while the database is busy" if is_throttled else ""
    return (
        f"Deletes rows of **{policy.table}** whose `{policy.column}` is older than {written(policy.keep)}, "
        f"in small batches{throttled}.{archived} Rows on hold are kept."
    )


RETENTION = Kind(
    name=KIND,
    section=RetentionSection,
    several=True,
    read=read,
    problems=problems,
    plan=plan_retention,
    runs="ops_pipeline.maintenance.retention.run:run_retention",
    checks=checks,
    describe=_describe,
    tables=lambda policy: (policy.table,),
    deletes=True,
)

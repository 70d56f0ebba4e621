"""A Dagster asset for each policy: materializing the asset runs the policy."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from zoneinfo import ZoneInfo

import dagster as dg
from cronsim import CronSim

from ops_pipeline.maintenance.kinds import kind_of
from ops_pipeline.orchestration import checks, metadata, order, policy_step, remedy, source_assets
from ops_pipeline.orchestration.policy_step import PolicyStep
from ops_pipeline.orchestration.resources import MaintenanceResource
from ops_pipeline.policies.model import Database, Policy, Schedule

AFTER_A_KILL = dg.RetryPolicy(max_retries=1, delay=5)
"""For a step whose process was killed. A step that fails with an error of its own is not retried."""
LATE_AFTER = timedelta(hours=2)
"""How long a run may take before its policies count as late; the API's health check uses the same value."""


def key(policy: Policy) -> dg.AssetKey:
    """`app/retention/sessions`, the policy's name everywhere."""
    return dg.AssetKey(policy.identity.path)


def policy_assets(database: Database) -> list[dg.AssetsDefinition]:
    """The database's policies as assets. Their order is in `order`."""
    return [_asset(database, policy) for policy in database.policies]


def _asset(database: Database, policy: Policy) -> dg.AssetsDefinition:
    kind = kind_of(policy)

    @dg.multi_asset(
        name=policy.identity.op_name,
        outs={
            metadata.OUTPUT: dg.AssetOut(
                key=key(policy),
                group_name=database.name,
                kinds={"postgres", policy.kind},
                owners=policy.owners,
                tags=policy.tags,
                dagster_type=metadata.NOTHING,
                description=_described(policy),
                metadata={"runbook": remedy.runbook(policy.kind)},
                freshness_policy=None
                if policy.observe  # it is never materialized
                else dg.FreshnessPolicy.time_window(fail_window=late_after(database.schedule)),
                is_required=False,
            )
        },
        ins=_nothing_from([source_assets.key(database, table) for table in kind.tables(policy)]),
        check_specs=checks.specs(policy),
        can_subset=True,  # so that its checks can be evaluated without running the policy
        pool=database.name,
        op_tags=order.priority(policy, database.policies),
        retry_policy=AFTER_A_KILL,
    )
    def policy_asset(
        context: dg.AssetExecutionContext, databases: MaintenanceResource
    ) -> Iterator[policy_step.Result]:
        yield from PolicyStep(context, databases, database, policy).execute()

    return policy_asset


def _described(policy: Policy) -> str:
    observed = "**Observed only**: each run records what it would do, and changes nothing. "
    return f"{observed if policy.observe else ''}{kind_of(policy).describe(policy)}"


def _nothing_from(assets: Sequence[dg.AssetKey]) -> dict[str, dg.AssetIn]:
    """The assets as inputs with numbered names: the names that Dagster derives from keys may collide."""
    return {
        f"after_{number}": dg.AssetIn(asset, dagster_type=metadata.NOTHING)
        for number, asset in enumerate(assets)
    }


def late_after(schedule: Schedule) -> timedelta:
    """How old the last complete run of a policy may be: the longest time between two runs, plus two hours.

    Computed over the next 32 runs, so that a weekday schedule is not late every Monday.
    """
    now = datetime.now(UTC).astimezone(ZoneInfo(schedule.timezone))
    starts = [start.astimezone(UTC) for start in islice(CronSim(schedule.cron, now), 32)]
    return max(later - earlier for earlier, later in pairwise(starts)) + LATE_AFTER

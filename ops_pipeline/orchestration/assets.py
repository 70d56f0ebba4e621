"""A Dagster asset for each policy: materializing the asset runs the policy."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from zoneinfo import ZoneInfo

import dagster as dg
from cronsim import CronSim

from ops_pipeline.maintenance import kinds
from ops_pipeline.maintenance.kinds import kind_of
from ops_pipeline.maintenance.result import RefusedError, RunResult
from ops_pipeline.orchestration import archive_partitions, metadata, order, retry, source_assets
from ops_pipeline.orchestration.resources import MaintenanceResource
from ops_pipeline.pauses import pauses
from ops_pipeline.policies.model import Database, Policy, Schedule
from ops_pipeline.postgres.connection import DatabaseUnavailableError

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
    tables = kind.tables(policy)

    @dg.multi_asset(
        name=policy.identity.op_name,
        outs={
            metadata.OUTPUT: dg.AssetOut(
                key=key(policy),
                group_name=database.name,
                kinds={"postgres", policy.kind},
                owners=["team:operations"],
                dagster_type=metadata.NOTHING,
                description=_described(policy),
                metadata={"runbook": dg.MetadataValue.path(f"docs/runbook.md#{policy.kind}")},
                freshness_policy=None
                if policy.observe  # it is never materialized
                else dg.FreshnessPolicy.time_window(fail_window=late_after(database.schedule)),
            )
        },
        ins=_nothing_from([source_assets.key(database, table) for table in tables]),
        pool=database.name,
        op_tags=order.priority(policy, database.policies),
        retry_policy=AFTER_A_KILL,
    )
    def policy_asset(
        context: dg.AssetExecutionContext, databases: MaintenanceResource
    ) -> Iterator[dg.MaterializeResult[None] | dg.Output[None]]:
        if databases.dry_run:
            context.log_event(_dry_run(databases, database, policy, context))
            yield metadata.not_materialized()
            return
        order.wait(context, policy, database.policies, _children(databases, database, policy))
        result = _carry_out(databases, database, policy, context)
        yield from _report(context, policy, result)
        with databases.reach(database, "observe") as connection:
            for observed in source_assets.observe(connection, database, tables):
                context.log_event(observed)
            if policy in archive_partitions.archived_by_day(database):
                archive_partitions.report_archived_days(context.instance, connection, policy)

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


def _children(databases: MaintenanceResource, database: Database, policy: Policy) -> Sequence[Policy]:
    """The policies that must run before this one because of the database's foreign keys."""
    try:
        with databases.reach(database, "order") as connection:
            in_order = kinds.children_first(connection, database.policies)
            # Of policies whose tables refer to each other, one must begin.
            earlier = in_order[: in_order.index(policy)]
            return kinds.children(connection, policy, earlier)
    except DatabaseUnavailableError:
        return ()  # the policy's own step retries, and reports it


def _carry_out(
    databases: MaintenanceResource, database: Database, policy: Policy, context: dg.AssetExecutionContext
) -> RunResult:
    try:
        databases.approve_for(database, policy)
        result = retry.carry_out(databases, database, policy, context)
    except RefusedError as error:
        raise dg.Failure(str(error), allow_retries=False) from error
    except Exception as error:
        raise dg.Failure(
            f"{policy.name} failed: {error}. What was committed is kept.", allow_retries=False
        ) from error
    if result.outcome == "skipped":
        raise dg.Failure(
            f"{policy.name} did not run: {result.stopped_reason}. Nothing was changed. "
            "Wait for that run to end, then run this again.",
            allow_retries=False,
        )
    return result


def _report(
    context: dg.AssetExecutionContext, policy: Policy, result: RunResult
) -> Iterator[dg.MaterializeResult[None] | dg.Output[None]]:
    """A materialization if the policy is done; otherwise an observation, so that the asset becomes late."""
    if result.outcome == "done":
        yield dg.MaterializeResult(metadata=metadata.metadata(kind_of(policy), result))
        return
    log = context.log.info if result.outcome == "observed" else context.log.warning
    log(f"{policy.name}: {result.stopped_reason}")
    context.log_event(dg.AssetObservation(key(policy), metadata=metadata.metadata(kind_of(policy), result)))
    yield metadata.not_materialized()


def _dry_run(
    databases: MaintenanceResource, database: Database, policy: Policy, context: dg.AssetExecutionContext
) -> dg.AssetObservation:
    try:
        with databases.connect(
            database, policy, f"plan {policy.name}", context.run.run_id, writes=False
        ) as connection:
            planned = databases.plan(connection, policy)
            paused = pauses.active(connection)
    except Exception as error:
        raise dg.Failure(f"{policy.name} cannot be planned: {error}", allow_retries=False) from error
    context.log.info(metadata.in_words(planned))
    now = f". Maintenance is {paused.in_words(database.name)}" if paused else ""
    return dg.AssetObservation(
        key(policy), description=f"Dry run: nothing was deleted{now}", metadata=metadata.plan(planned)
    )


def late_after(schedule: Schedule) -> timedelta:
    """How old the last complete run of a policy may be: the longest time between two runs, plus two hours.

    Computed over the next 32 runs, so that a weekday schedule is not late every Monday.
    """
    now = datetime.now(UTC).astimezone(ZoneInfo(schedule.timezone))
    starts = [start.astimezone(UTC) for start in islice(CronSim(schedule.cron, now), 32)]
    return max(later - earlier for earlier, later in pairwise(starts)) + LATE_AFTER

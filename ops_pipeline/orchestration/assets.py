"""An asset for each policy: to materialize it is to carry the policy out."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from zoneinfo import ZoneInfo

import dagster as dg
from cronsim import CronSim

from ops_pipeline import policy
from ops_pipeline.maintenance.result import RefusedError, Result
from ops_pipeline.orchestration import days, resume, shown, tables
from ops_pipeline.orchestration.databases import Databases

AFTER_A_KILL = dg.RetryPolicy(max_retries=1, delay=5)
"""For a step whose process was killed. What fails for a reason of its own says so and is not tried again."""
LATE_AFTER = timedelta(hours=2)
"""How long a night may take before what it has not done is late; the API's health check takes the same."""


def key(rule: policy.Policy) -> dg.AssetKey:
    """`app/retention/sessions`, as the policy is named everywhere."""
    return dg.AssetKey(rule.name.split("/"))


def of(database: policy.Database) -> list[dg.AssetsDefinition]:
    """The database's policies as assets, each after those of the steps before it."""
    return [_asset(database, rule, _before(rule, database.policies)) for rule in database.policies]


def _asset(
    database: policy.Database, rule: policy.Policy, after: Sequence[policy.Policy]
) -> dg.AssetsDefinition:
    named = tables.named_by(rule)

    @dg.asset(
        key=key(rule),
        deps=[*(tables.key(database, table) for table in named), *map(key, after)],
        group_name=database.name,
        kinds={"postgres", rule.kind},
        owners=["team:operations"],
        pool=database.name,
        retry_policy=AFTER_A_KILL,
        dagster_type=shown.NOTHING,
        description=shown.description(rule),
        metadata={"runbook": dg.MetadataValue.path(f"docs/runbook.md#{rule.kind}")},
        freshness_policy=dg.FreshnessPolicy.time_window(fail_window=late_after(database.schedule)),
    )
    def carry_out(
        context: dg.AssetExecutionContext, databases: Databases
    ) -> Iterator[dg.MaterializeResult[None] | dg.Output[None]]:
        if databases.dry_run:
            context.log_event(_planned(databases, database, rule, context))
            yield shown.not_materialized()
            return
        result = _result(databases, database, rule, context)
        yield from _told(context, rule, result)
        with databases.reach(database, "observe") as connection:
            for observed in tables.observe(connection, database, named):
                context.log_event(observed)
            if rule in days.archived_by_day(database):
                days.tell(context.instance, connection, rule)

    return carry_out


def _result(
    databases: Databases, database: policy.Database, rule: policy.Policy, context: dg.AssetExecutionContext
) -> Result:
    try:
        databases.approve_for(database, rule)
        result = resume.carry_out(databases, database, rule, context)
    except RefusedError as error:
        raise dg.Failure(str(error), allow_retries=False) from error
    except Exception as error:
        raise dg.Failure(
            f"{rule.name} failed: {error}. What was committed before stays done.", allow_retries=False
        ) from error
    if result.outcome == "skipped":
        raise dg.Failure(
            f"{rule.name} was not carried out: {result.stopped_reason}. Nothing was changed. "
            "Wait for that run to end, then run this again.",
            allow_retries=False,
        )
    return result


def _told(
    context: dg.AssetExecutionContext, rule: policy.Policy, result: Result
) -> Iterator[dg.MaterializeResult[None] | dg.Output[None]]:
    """A materialization of what is done; of what is not, an observation, so that the asset becomes late."""
    if result.outcome == "done":
        yield dg.MaterializeResult(metadata=shown.metadata(result))
        return
    context.log.warning(f"{rule.name} {result.outcome}: {result.stopped_reason}")
    context.log_event(dg.AssetObservation(key(rule), metadata=shown.metadata(result)))
    yield shown.not_materialized()


def _planned(
    databases: Databases, database: policy.Database, rule: policy.Policy, context: dg.AssetExecutionContext
) -> dg.AssetObservation:
    try:
        with databases.connect(database, f"plan {rule.name}", context.run.run_id) as connection:
            planned = databases.plan(connection, database, rule)
    except Exception as error:
        raise dg.Failure(f"{rule.name} cannot be planned: {error}", allow_retries=False) from error
    context.log.info(shown.in_words(planned))
    return dg.AssetObservation(
        key(rule), description="Dry run: nothing was removed", metadata=shown.plan(planned)
    )


def _before(rule: policy.Policy, rules: Sequence[policy.Policy]) -> list[policy.Policy]:
    """The policies of the stage before: retention makes orphans, VACUUM cleans up after both.

    An orphans policy comes as well after those that remove rows of its parent.
    """
    order = (policy.Retention, policy.Orphans, policy.Vacuum)
    earlier = [each for each in rules if order.index(type(each)) < order.index(type(rule))]
    before = [each for each in earlier if type(each) is type(earlier[-1])]
    if isinstance(rule, policy.Orphans):
        before += policy.of_parent(rule, rules)
    return before


def late_after(schedule: policy.Schedule) -> timedelta:
    """How old the last complete run of a policy may be: the longest time between two nights, and two hours.

    Seen over the coming month, so that a schedule for weekdays alone is not late every Monday.
    """
    now = datetime.now(UTC).astimezone(ZoneInfo(schedule.timezone))
    nights = [moment.astimezone(UTC) for moment in islice(CronSim(schedule.cron, now), 32)]
    return max(later - earlier for earlier, later in pairwise(nights)) + LATE_AFTER

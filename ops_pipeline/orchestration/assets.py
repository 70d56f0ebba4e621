"""An asset for each policy: to materialize it is to carry the policy out."""

from collections.abc import Mapping, Sequence

import dagster as dg

from ops_pipeline import policy
from ops_pipeline.maintenance.result import Result
from ops_pipeline.orchestration import resume
from ops_pipeline.orchestration.databases import Databases

AFTER_A_KILL = dg.RetryPolicy(max_retries=1, delay=5)
"""For a step whose process was killed. What fails for a reason of its own says so and is not tried again."""


def key(rule: policy.Policy) -> dg.AssetKey:
    """`app/retention/sessions`, as the policy is named everywhere."""
    return dg.AssetKey(rule.name.split("/"))


def of(database: policy.Database) -> list[dg.AssetsDefinition]:
    """The database's policies as assets, each after those of the steps before it."""
    return [_asset(database, rule, _before(rule, database.policies)) for rule in database.policies]


def _asset(
    database: policy.Database, rule: policy.Policy, after: Sequence[policy.Policy]
) -> dg.AssetsDefinition:
    @dg.asset(
        key=key(rule),
        deps=[key(each) for each in after],
        group_name=database.name,
        kinds={"postgres", rule.kind},
        pool=database.name,
        retry_policy=AFTER_A_KILL,
        description=_describe(rule),
    )
    def carry_out(context: dg.AssetExecutionContext, databases: Databases) -> dg.MaterializeResult[None]:
        try:
            result = resume.carry_out(databases, database, rule, context)
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
        return dg.MaterializeResult(metadata=_metadata(result))

    return carry_out


def _before(rule: policy.Policy, rules: Sequence[policy.Policy]) -> list[policy.Policy]:
    """The policies of the stage before: retention makes orphans, VACUUM cleans up after both."""
    order = (policy.Retention, policy.Orphans, policy.Vacuum)
    earlier = [each for each in rules if order.index(type(each)) < order.index(type(rule))]
    return [each for each in earlier if type(each) is type(earlier[-1])]


def _describe(rule: policy.Policy) -> str:
    match rule:
        case policy.Retention():
            return f"Removes rows of **{rule.table}** whose `{rule.column}` is older than {_days(rule)}."
        case policy.Orphans():
            return (
                f"Removes rows of **{rule.table}** whose `{rule.column}` names no row of "
                f"**{rule.parent}**. A row that names none is kept."
            )
        case policy.Vacuum():
            which = "every table" if rule.tables == "all" else ", ".join(rule.tables)
            return f"VACUUM{' (ANALYZE)' if rule.analyze else ''} of {which}, one after the other."


def _days(rule: policy.Retention) -> str:
    return f"{rule.keep.days} days" if rule.keep.days else f"{rule.keep}"


def _metadata(result: Result) -> Mapping[str, dg.MetadataValue]:
    # Numbers are plotted by the UI over the nights.
    metadata: dict[str, dg.MetadataValue] = {
        "rows_removed": dg.MetadataValue.int(result.removed),
        "rows_examined": dg.MetadataValue.int(result.examined),
        "seconds": dg.MetadataValue.float(round(result.seconds, 3)),
        "dead_tuples_before": dg.MetadataValue.int(result.dead_tuples_before),
        "dead_tuples_after": dg.MetadataValue.int(result.dead_tuples_after),
        "stopped_reason": dg.MetadataValue.text(result.stopped_reason),
    }
    if result.left is not None:
        metadata["rows_left"] = dg.MetadataValue.int(result.left)
    if result.oldest is not None:
        metadata["oldest_row_left"] = dg.MetadataValue.timestamp(result.oldest)
    return metadata

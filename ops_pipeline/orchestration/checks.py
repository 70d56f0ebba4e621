"""A check for each policy that removes rows: none is left that should be gone."""

import dagster as dg

from ops_pipeline import policy
from ops_pipeline.maintenance import orphans
from ops_pipeline.maintenance.retention import expired
from ops_pipeline.orchestration import assets
from ops_pipeline.orchestration.databases import Databases


def of(database: policy.Database) -> list[dg.AssetChecksDefinition]:
    """The checks of a database's policies. An operator may run one at any time; it only reads."""
    checks: list[dg.AssetChecksDefinition] = []
    for rule in database.policies:
        match rule:
            case policy.Retention():
                checks.append(_nothing_expired_left(database, rule))
            case policy.Orphans():
                checks.append(_nothing_orphaned_left(database, rule))
    return checks


def _nothing_expired_left(database: policy.Database, rule: policy.Retention) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=assets.key(rule),
        name="nothing_expired_left",
        description=f"No row of {rule.table} is left that the last run should have removed.",
    )
    def check(context: dg.AssetCheckExecutionContext, databases: Databases) -> dg.AssetCheckResult:
        with databases.connect(database, f"check {rule.name}", context.run.run_id) as connection:
            before = expired.due(connection, rule)
            rows = expired.left(connection, rule, before)
        return _verdict(rows, f"{rows:,} rows of {rule.table} are older than {before:%Y-%m-%d %H:%M} UTC")

    return check


def _nothing_orphaned_left(database: policy.Database, rule: policy.Orphans) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=assets.key(rule),
        name="nothing_orphaned_left",
        description=f"Every {rule.column} in {rule.table} names a row of {rule.parent}.",
    )
    def check(context: dg.AssetCheckExecutionContext, databases: Databases) -> dg.AssetCheckResult:
        with databases.connect(database, f"check {rule.name}", context.run.run_id) as connection:
            rows = orphans.left(connection, rule)
        return _verdict(rows, f"{rows:,} rows of {rule.table} have a {rule.column} that {rule.parent} lacks")

    return check


def _verdict(rows: int, description: str) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        passed=rows == 0,
        description=description,
        metadata={"rows_left": dg.MetadataValue.int(rows)},
    )

"""Dagster asset checks of the policies. They change no row and can be run at any time."""

from collections.abc import Iterator, Sequence

import dagster as dg

from ops_pipeline.maintenance.check import CheckResult, PolicyCheck
from ops_pipeline.orchestration import assets, order
from ops_pipeline.orchestration.resources import MaintenanceResource
from ops_pipeline.policies.model import Database, Policy


def policy_checks(database: Database) -> list[dg.AssetChecksDefinition]:
    """The checks of a database's policies; the checks of one policy share a step.

    A check that blocks later policies has a step of its own.
    """
    return [
        _definition(database, policy, name, checks)
        for policy in database.policies
        for name, checks in order.check_steps(policy)
    ]


def _definition(
    database: Database, policy: Policy, name: str, checks: Sequence[PolicyCheck]
) -> dg.AssetChecksDefinition:
    asset = assets.key(policy)

    @dg.multi_asset_check(
        name=name,
        specs=[dg.AssetCheckSpec(check.name, asset=asset, description=check.description) for check in checks],
        op_tags=order.CHECKS_PRIORITY,
        can_subset=True,
    )
    def ask_checks(
        context: dg.AssetCheckExecutionContext, databases: MaintenanceResource
    ) -> Iterator[dg.AssetCheckResult]:
        chosen = {selected.name for selected in context.selected_asset_check_keys}
        failures: list[str] = []
        with databases.connect(database, policy, f"check {policy.name}", context.run.run_id) as connection:
            for check in checks:
                if check.name in chosen:
                    result = check.ask(connection)
                    failures += [result.description] if result.fails_run else []
                    yield _as_dagster(asset, check, result)
        if failures and not databases.dry_run:
            raise dg.Failure("; ".join(failures), allow_retries=False)

    return ask_checks


def _as_dagster(asset: dg.AssetKey, check: PolicyCheck, result: CheckResult) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        asset_key=asset,
        check_name=check.name,
        passed=result.passed,
        severity=dg.AssetCheckSeverity.ERROR,
        description=result.description,
        metadata=dict(result.metadata),
    )

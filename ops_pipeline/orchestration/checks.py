"""A policy's checks as Dagster asset checks: results of its step, which also evaluates them alone."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import dagster as dg

from ops_pipeline.maintenance.check import CheckResult, PolicyCheck, not_evaluated
from ops_pipeline.maintenance.kinds import kind_of
from ops_pipeline.orchestration import remedy
from ops_pipeline.orchestration.metadata import values
from ops_pipeline.policies.model import Database, Policy
from ops_pipeline.postgres.connection import Connection

SEVERITIES = {"error": dg.AssetCheckSeverity.ERROR, "warning": dg.AssetCheckSeverity.WARN}


NOTHING_ARCHIVED = "nothing_archived"
"""Metadata of a check of a policy that does not match its tables: what it holds back need not wait."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A check and what it found."""

    check: PolicyCheck
    result: CheckResult


def specs(policy: Policy) -> list[dg.AssetCheckSpec]:
    """The policy's checks. They change no row and can be evaluated at any time."""
    return [
        dg.AssetCheckSpec(check.name, asset=list(policy.identity.path), description=check.description)
        for check in kind_of(policy).checks(policy)
    ]


def chosen(policy: Policy, selected: Iterable[dg.AssetCheckKey]) -> list[PolicyCheck]:
    """The selected checks of the policy."""
    names = {key.name for key in selected}
    return [check for check in kind_of(policy).checks(policy) if check.name in names]


def evaluate(connection: Connection, check: PolicyCheck) -> Evaluation:
    """Evaluates the check. An error is its result, so that it hides no other check."""
    try:
        return Evaluation(check, check.ask(connection))
    except Exception as error:
        return Evaluation(check, not_evaluated(error))


def as_dagster(database: Database, policy: Policy, evaluation: Evaluation) -> dg.AssetCheckResult:
    """The result; where it did not pass, with what to do."""
    check, result = evaluation.check, evaluation.result
    return dg.AssetCheckResult(
        asset_key=list(policy.identity.path),
        check_name=check.name,
        passed=result.passed,
        severity=SEVERITIES[result.severity],
        description=result.description,
        metadata={
            **values(**result.metadata),
            **({} if result.passed else _remedy(database, policy, evaluation)),
        },
    )


def _remedy(database: Database, policy: Policy, evaluation: Evaluation) -> Mapping[str, dg.MetadataValue]:
    plan = evaluation.result.metadata.get("plan")
    if plan is not None:
        return remedy.approve(database, policy, str(plan))
    section = evaluation.check.runbook or policy.kind
    if evaluation.result.fails_run:
        return remedy.evaluate_again(policy, section)
    if not kind_of(policy).deletes:
        return remedy.materialize_again(policy, section)
    return remedy.run_again(database, policy, section)

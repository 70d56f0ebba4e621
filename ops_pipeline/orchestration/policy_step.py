"""A policy's step in a run: runs the policy, evaluates its checks, and fails where a person is required."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import dagster as dg
import psycopg

from ops_pipeline.archive.archive_error import ArchiveError
from ops_pipeline.maintenance import history, kinds
from ops_pipeline.maintenance.check import ROWS_REMAIN, PolicyCheck, not_evaluated
from ops_pipeline.maintenance.kinds import kind_of
from ops_pipeline.maintenance.result import RefusedError, RunResult
from ops_pipeline.opsctl import opsctl
from ops_pipeline.orchestration import (
    archive_partitions,
    checks,
    metadata,
    order,
    remedy,
    retry,
    run_outcome,
    source_assets,
)
from ops_pipeline.orchestration.resources import MaintenanceResource
from ops_pipeline.pauses import pauses
from ops_pipeline.policies.file import PolicyError
from ops_pipeline.policies.model import Database, Policy
from ops_pipeline.postgres.connection import DatabaseUnavailableError
from ops_pipeline.storage.storage import StorageError

AS_TOLD = {"paused", "observed"}
"""Outcomes that a person has asked for."""
Result = dg.MaterializeResult[None] | dg.AssetCheckResult


@dataclass(frozen=True, slots=True)
class PolicyStep:
    """The step of one policy in one run. The run selects the policy, some of its checks, or both."""

    context: dg.AssetExecutionContext
    databases: MaintenanceResource
    database: Database
    policy: Policy

    def execute(self) -> Iterator[Result]:
        """Runs the policy if it is selected, then yields the results of the selected checks.

        A policy that is done is materialized; any other outcome is an observation, so that the asset becomes
        late. A dry run only observes; it fails where the policy would be refused. Raises dg.Failure after
        everything else when the policy needs approval, failed, was refused or has rows remaining, or when a
        check fails the run: "re-execute from failure" then runs the policy again. The history then has the
        failure too: a policy has one outcome in a run. No other policy's step depends on this one, so the
        others go on.
        """
        selected = self.context.selected_asset_keys
        if self.databases.dry_run:
            if selected:
                self._plan()
            return
        result: RunResult | None = None
        try:
            if selected:
                result = self._carry_out()
                self._observe_tables()
        except dg.RetryRequested:
            raise
        except Exception as error:
            evaluations = self._evaluate(self._holding_back())
            failure = self._failed(error, evaluations)
            yield from self._as_dagster(evaluations)
            raise failure from error
        evaluations = self._evaluate(self._selected_checks())
        failed_checks = [evaluation for evaluation in evaluations if evaluation.result.fails_run]
        if result is not None and failed_checks:
            self._record_failure("; ".join(_reasons(result, failed_checks)))
        elif result is not None and result.outcome == run_outcome.DONE:
            yield dg.MaterializeResult(metadata=metadata.metadata(kind_of(self.policy), result))
        yield from self._as_dagster(evaluations)
        self._end(result, evaluations, failed_checks)

    def _carry_out(self) -> RunResult:
        order.wait(self.context, self.policy, self.database.policies, self._children())
        result = retry.carry_out(self.databases, self.database, self.policy, self.context)
        if result.outcome == "skipped":
            raise _SkippedError(
                f"did not run: {result.stopped_reason}. Nothing was changed. "
                f"Wait for that run to end, then: {opsctl('run', policies=[self.policy.name])}"
            )
        return result

    def _children(self) -> Sequence[Policy]:
        """The policies that must run before this one because of the database's foreign keys."""
        try:
            with self.databases.reach(self.database, "order") as connection:
                in_order = kinds.children_first(connection, self.database.policies)
                # Of policies whose tables refer to each other, one must begin.
                earlier = in_order[: in_order.index(self.policy)]
                return kinds.children(connection, self.policy, earlier)
        except DatabaseUnavailableError:
            return ()  # the policy's own run retries, and reports it

    def _observe_tables(self) -> None:
        with self.databases.reach(self.database, "observe") as connection:
            tables = kind_of(self.policy).tables(self.policy)
            for observed in source_assets.observe(connection, self.database, tables):
                self.context.log_event(observed)
            if self.policy in archive_partitions.archived_by_day(self.database):
                archive_partitions.report_archived_days(self.context.instance, connection, self.policy)

    def _selected_checks(self) -> list[PolicyCheck]:
        return checks.chosen(self.policy, self.context.selected_asset_check_keys)

    def _holding_back(self) -> list[PolicyCheck]:
        """The checks that VACUUM waits for. The others say nothing about a policy that has failed."""
        return [check for check in self._selected_checks() if check.holds_back]

    def _evaluate(self, selected: Sequence[PolicyCheck]) -> list[checks.Evaluation]:
        if not selected:
            return []
        step, run_id = f"check {self.policy.name}", self.context.run.run_id
        try:
            with self.databases.connect(self.database, self.policy, step, run_id) as connection:
                return [checks.evaluate(connection, check) for check in selected]
        except (DatabaseUnavailableError, psycopg.Error) as error:
            return [checks.Evaluation(check, not_evaluated(error)) for check in selected]
        except PolicyError as error:
            result = replace(not_evaluated(error), metadata={checks.NOTHING_ARCHIVED: True})
            return [checks.Evaluation(check, result) for check in selected]

    def _as_dagster(self, evaluations: Sequence[checks.Evaluation]) -> Iterator[Result]:
        for evaluation in evaluations:
            yield checks.as_dagster(self.database, self.policy, evaluation)

    def _end(
        self,
        result: RunResult | None,
        evaluations: Sequence[checks.Evaluation],
        failed_checks: Sequence[checks.Evaluation],
    ) -> None:
        """Reports the outcome of a run that ended by itself. Raises dg.Failure where the step has failed."""
        reasons = _reasons(result, failed_checks)
        if result is None:
            if reasons:
                raise self._failure(run_outcome.FAILED, "; ".join(reasons), failed_checks)
            return
        if result.outcome == run_outcome.DONE and not reasons:
            run_outcome.record(self.context.instance, self.context.run.run_id)
            return
        outcome = run_outcome.FAILED if failed_checks else result.outcome
        plan = result.details.get("plan")
        failure = self._failure(outcome, "; ".join(reasons), failed_checks, plan, result)
        # What to do is shown first.
        about = {} if result.outcome in AS_TOLD else dict(failure.metadata)
        for evaluation in evaluations:
            if not evaluation.result.passed:
                about |= metadata.values(**evaluation.result.metadata)
        about |= metadata.metadata(kind_of(self.policy), result)
        about["outcome"] = dg.MetadataValue.text(outcome)
        self._observe("; ".join(reasons), about)
        if failed_checks or self._requires_a_person(result):
            raise failure
        log = self.context.log.info if result.outcome == "observed" else self.context.log.warning
        log(f"{self.policy.name}: {result.stopped_reason}")

    def _requires_a_person(self, result: RunResult) -> bool:
        """Whether the next run will not do what this one could not. VACUUM that another session blocks is
        red in its check, and does not fail the run."""
        remaining = result.outcome == "stopped" and kind_of(self.policy).deletes and bool(result.remaining)
        return result.outcome == run_outcome.NEEDS_APPROVAL or remaining

    def _failed(self, error: Exception, evaluations: Sequence[checks.Evaluation]) -> dg.Failure:
        """The failure of a policy that did not run to its end; also recorded, and reported on the asset."""
        failed_checks = [evaluation for evaluation in evaluations if evaluation.result.fails_run]
        outcome, reason = self._why(error)
        reason = "; ".join([reason, *_reasons(None, failed_checks)])
        if outcome == run_outcome.FAILED:
            self._record_failure(reason)
        section = "archive" if isinstance(error, ArchiveError | StorageError) else None
        failure = self._failure(outcome, reason, failed_checks, section=section)
        self._observe(reason, failure.metadata)
        return failure

    def _why(self, error: Exception) -> tuple[str, str]:
        """The outcome and the reason of a policy whose run raised that error."""
        if isinstance(error, _SkippedError):
            return "skipped", str(error)
        if isinstance(error, RefusedError):
            return run_outcome.FAILED, str(error)
        return run_outcome.FAILED, (
            f"failed: {error}. Committed batches are kept. Fix the cause, then run: "
            + opsctl("run", policies=[self.policy.name])
        )

    def _record_failure(self, reason: str) -> None:
        """Records the failure in the history, where the policy's own run has not."""
        name, run_id = self.policy.name, self.context.run.run_id
        try:
            with self.databases.reach(self.database, f"record {name}", writes=True) as connection:
                history.fail(connection, name, reason, run_id)
        except (DatabaseUnavailableError, psycopg.Error) as error:
            self.context.log.warning(
                f"Could not record in its database that {name} failed: {error}. The sensor ended_runs "
                "records it if the database answers then."
            )

    def _failure(
        self,
        outcome: str,
        reason: str,
        failed_checks: Sequence[checks.Evaluation] = (),
        plan: str | None = None,
        result: RunResult | None = None,
        section: str | None = None,
    ) -> dg.Failure:
        named = ", ".join(failed.check.name for failed in failed_checks)
        return dg.Failure(
            remedy.as_pasted(f"{self.policy.name}: {reason}"),
            metadata={
                "outcome": dg.MetadataValue.text(outcome),
                **({"checks": dg.MetadataValue.text(named)} if named else {}),
                **self._remedy(outcome, failed_checks, plan, result, section),
            },
            allow_retries=False,
        )

    def _remedy(
        self,
        outcome: str,
        failed_checks: Sequence[checks.Evaluation],
        plan: str | None,
        result: RunResult | None,
        section: str | None,
    ) -> Mapping[str, dg.MetadataValue]:
        if failed_checks:
            return remedy.evaluate_again(self.policy, failed_checks[0].check.runbook or self.policy.kind)
        if plan is not None:
            return remedy.approve(self.database, self.policy, plan)
        if result is not None and not self._requires_a_person(result):
            blockers = result.details.get("blockers", ())
            statements = [str(blocker["remedy"]) for blocker in blockers]
            return remedy.materialize_again(self.policy, self.policy.kind, statements)
        remain = outcome == "stopped" and kind_of(self.policy).deletes
        section = section or (ROWS_REMAIN if remain else self.policy.kind)
        return remedy.run_again(self.database, self.policy, section)

    def _observe(self, reason: str, about: Mapping[str, dg.MetadataValue]) -> None:
        key = dg.AssetKey(self.policy.identity.path)
        self.context.log_event(dg.AssetObservation(key, description=reason, metadata=about))
        run_outcome.record(self.context.instance, self.context.run.run_id)

    def _plan(self) -> None:
        step, run_id = f"plan {self.policy.name}", self.context.run.run_id
        try:
            with self.databases.connect(self.database, self.policy, step, run_id, writes=False) as connection:
                planned = self.databases.plan(connection, self.policy)
                paused = pauses.active(connection)
        except Exception as error:
            reason = f"cannot be planned: {error}"
            failure = self._failure(run_outcome.FAILED, reason)
            self._observe(reason, failure.metadata)
            raise failure from error
        in_words = metadata.in_words(planned)
        self.context.log.info(in_words)
        why = metadata.not_possible(planned)
        outcome = run_outcome.FAILED if why else run_outcome.DRY_RUN
        about = {**metadata.values(outcome=outcome, in_words=in_words), **metadata.plan(planned)}
        now = f". Maintenance is {paused.in_words(self.database.name)}" if paused else ""
        self._observe(f"Dry run: nothing was deleted{now}", about)
        if why:
            raise self._failure(outcome, f"would not run: {why}")


def _reasons(result: RunResult | None, failed_checks: Sequence[checks.Evaluation]) -> list[str]:
    """Why the policy is not done: what its run says, and what each check found that fails the run."""
    own = [result.stopped_reason] if result is not None and result.outcome != run_outcome.DONE else []
    return own + [f"{failed.check.name}: {failed.result.description}" for failed in failed_checks]


class _SkippedError(Exception):
    """Another run of the policy is running."""

"""Runs one policy: one run at a time, recorded in the history, stopped when asked or paused."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import psycopg

import sql
from ops_pipeline.maintenance import history
from ops_pipeline.maintenance import observe as observe_only
from ops_pipeline.maintenance.batches.batch import PolicyRun, Report, Stop
from ops_pipeline.maintenance.kind import AnyPolicy, Kind
from ops_pipeline.maintenance.lock_wait import work_between_locks
from ops_pipeline.maintenance.plan import PlannedDeletion
from ops_pipeline.maintenance.result import RunResult, Work
from ops_pipeline.pauses.watch import PauseWatch
from ops_pipeline.policies.model import DeletingPolicy
from ops_pipeline.postgres.advisory_lock import advisory_lock, lock_holder
from ops_pipeline.postgres.connection import Connection, cancel_on_interrupt
from ops_pipeline.postgres.ready import refuse_unready
from ops_pipeline.postgres.rights import explained
from ops_pipeline.settings import Settings, load
from ops_pipeline.throttle.limits import Exceeded, Throttle

OURS = __name__.partition(".")[0]
TERMINATED = "the run was terminated; committed batches are kept and the next run continues"
Before = Callable[[], Sequence[PlannedDeletion]]
"""Called for a policy that is observed only: what the observed policies before it would have deleted."""


def never() -> str | None:
    """The `Stop` of a run that nothing stops."""
    return None


def silently(_: str) -> None:
    """The `Report` of a run that reports nothing."""


def run_policy(
    connection: Connection,
    kind: Kind[AnyPolicy],
    policy: AnyPolicy,
    *,
    settings: Settings | None = None,
    dagster_run_id: str | None = None,
    stop: Stop = never,
    report: Report = silently,
    before: Before = tuple,
) -> RunResult:
    """Carries the policy out and returns what was done, as recorded in `ops.maintenance_runs`.

    One run of a policy at a time: while another is running nothing is done, and the result names its session.
    While maintenance of the database is paused nothing is done, and a pause that begins later ends the run
    after its current batch. A policy that is observed only is planned, after `before`.
    Whatever ends the run early, committed batches stay committed and the next run continues from there.
    `settings` (None: from the environment) has the time a batch should take, the throttle file and the
    archive's URL. Raises StandbyError or NotMigratedError before anything is recorded, and psycopg.Error when
    the database fails. An interrupt first cancels the statement on the server and is then raised again.
    """
    refuse_unready(connection)
    given = settings or load()
    lock = f"ops: {policy.name}"
    with advisory_lock(connection, lock) as taken:
        if not taken:
            reason = f"another run of this policy is running: {lock_holder(connection, lock)}"
            return history.skip(connection, policy.name, reason, dagster_run_id)
        connection.execute(sql.get("postgres/compress_wal"))
        table = policy.table if isinstance(policy, DeletingPolicy) else None
        record = history.begin(connection, policy.name, dagster_run_id, table)

        def waiting(exceeded: Exceeded, seconds: float) -> None:
            record.save_throttled(connection, str(exceeded), seconds)
            report(f"{policy.name}: throttled because of {exceeded}")

        throttle = Throttle(policy.throttle, given.throttle_file, waiting)
        pause = PauseWatch(connection, policy.database)
        run = PolicyRun(connection, record, throttle, pause, stop, report)
        try:
            with cancel_on_interrupt(connection), explained(connection):
                work = work_between_locks(run, lambda: _work(run, kind, policy, given, before))
        except Exception as error:
            record.end_early(connection, "failed", _in_one_line(error), throttle.as_json())
            raise
        except BaseException:
            record.end_early(connection, "interrupted", TERMINATED, throttle.as_json())
            raise
        return record.finish(connection, work, throttle.as_json())


def _work(
    run: PolicyRun,
    kind: Kind[AnyPolicy],
    policy: AnyPolicy,
    settings: Settings,
    before: Before,
) -> Work:
    if (paused := run.pause.reason()) is not None:
        return Work(paused, None, paused=True)
    if policy.observe:
        return observe_only.observe(run, kind, policy, settings, before())
    work = kind.carry_out(run, policy, settings)
    return replace(work, paused=work.stopped_reason == run.pause.seen)


def _in_one_line(error: Exception) -> str:
    if isinstance(error, psycopg.Error) and error.diag.message_primary:
        return f"{error.diag.message_primary} ({error.sqlstate})"
    # Our own errors are sentences; of others the class says more than the text.
    ours = type(error).__module__.partition(".")[0] == OURS
    return (f"{error}" if ours else f"{type(error).__name__}: {error}").partition("\n")[0]

"""Performs one policy: one at a time, recorded, stopped when asked."""

import psycopg

import sql
from ops_pipeline import policy
from ops_pipeline.database import Connection, advisory_lock, cancel_on_interrupt, lock_holder
from ops_pipeline.maintenance import history
from ops_pipeline.maintenance.orphans.remove import remove_orphans
from ops_pipeline.maintenance.result import Result, Work
from ops_pipeline.maintenance.retention.expire import remove_expired
from ops_pipeline.maintenance.sweep import Report, Run, Stop
from ops_pipeline.maintenance.throttle import Throttle
from ops_pipeline.maintenance.vacuum.run import vacuum
from ops_pipeline.settings import Settings, load


def _never() -> str | None:
    return None


def _silently(_: str) -> None:
    return None


def perform(
    connection: Connection,
    rule: policy.Policy,
    *,
    settings: Settings | None = None,
    dagster_run_id: str | None = None,
    stop: Stop = _never,
    report: Report = _silently,
) -> Result:
    """Does what the policy says and returns what was done; it is in `ops.maintenance_runs` as well.

    One run of a policy at a time: while another holds it, nothing is done and the result says who.
    Whatever ends the run early, the batches that were committed stay done and the next run goes on
    from there. `settings` (None: what the environment says) has the time a batch should take, the pause
    file and where archives go. Raises psycopg.Error when the database fails; an interrupt stops the
    statement on the server first and passes on.
    """
    given = settings or load()
    lock = f"ops: {rule.name}"
    with advisory_lock(connection, lock) as taken:
        if not taken:
            reason = f"another run is working on it: {lock_holder(connection, lock)}"
            return history.skip(connection, rule.name, reason, dagster_run_id)
        connection.execute(sql.get("session/compress_wal"))
        record = history.begin(connection, rule.name, dagster_run_id)
        throttle = Throttle(rule.throttle, given.pause_file)
        run = Run(connection, record, throttle, stop, report)
        try:
            with cancel_on_interrupt(connection):
                work = _work(run, rule, given)
        except Exception as error:
            record.broke_off(connection, "failed", _in_one_line(error), throttle.as_json())
            raise
        except BaseException as interrupt:
            reason = f"interrupted ({type(interrupt).__name__})"
            record.broke_off(connection, "interrupted", reason, throttle.as_json())
            raise
        return record.finish(connection, work, throttle.as_json())


def _work(run: Run, rule: policy.Policy, settings: Settings) -> Work:
    match rule:
        case policy.Retention():
            return remove_expired(run, rule, settings)
        case policy.Orphans():
            return remove_orphans(run, rule, settings)
        case policy.Vacuum():
            return vacuum(run, rule)


def _in_one_line(error: Exception) -> str:
    if isinstance(error, psycopg.Error) and error.diag.message_primary:
        return f"{error.diag.message_primary} ({error.sqlstate})"
    return f"{type(error).__name__}: {error}".splitlines()[0]

"""Performs one policy: one at a time, recorded, stopped when asked."""

import psycopg

from ops_pipeline import policy
from ops_pipeline.database import Connection, advisory_lock, cancel_on_interrupt, lock_holder
from ops_pipeline.maintenance import history, orphans, retention, vacuum
from ops_pipeline.maintenance.result import Result, Work
from ops_pipeline.maintenance.sweep import Report, Stop


def _never() -> str | None:
    return None


def _silently(_: str) -> None:
    return None


def perform(
    connection: Connection,
    rule: policy.Policy,
    *,
    dagster_run_id: str | None = None,
    stop: Stop = _never,
    report: Report = _silently,
) -> Result:
    """Does what the policy says and returns what was done; it is in `ops.maintenance_runs` as well.

    One run of a policy at a time: while another holds it, nothing is done and the result says who.
    Whatever ends the run early, the batches that were committed stay done and the next run goes on
    from there. Raises psycopg.Error when the database fails; an interrupt stops the statement on the
    server first and passes on.
    """
    lock = f"ops: {rule.name}"
    with advisory_lock(connection, lock) as taken:
        if not taken:
            reason = f"another run is working on it: {lock_holder(connection, lock)}"
            return history.skip(connection, rule.name, reason, dagster_run_id)
        record = history.begin(connection, rule.name, dagster_run_id)
        try:
            with cancel_on_interrupt(connection):
                work = _work(connection, rule, record, stop, report)
        except Exception as error:
            record.broke_off(connection, "failed", _in_one_line(error))
            raise
        except BaseException as interrupt:
            record.broke_off(connection, "interrupted", f"interrupted ({type(interrupt).__name__})")
            raise
        return record.finish(connection, work)


def _work(
    connection: Connection,
    rule: policy.Policy,
    record: history.Record,
    stop: Stop,
    report: Report,
) -> Work:
    match rule:
        case policy.Retention():
            return retention.remove_expired(connection, rule, record, stop=stop, report=report)
        case policy.Orphans():
            return orphans.remove_orphans(connection, rule, record, stop=stop, report=report)
        case policy.Vacuum():
            return vacuum.vacuum(connection, rule, record, stop=stop, report=report)


def _in_one_line(error: Exception) -> str:
    if isinstance(error, psycopg.Error) and error.diag.message_primary:
        return f"{error.diag.message_primary} ({error.sqlstate})"
    return f"{type(error).__name__}: {error}".splitlines()[0]

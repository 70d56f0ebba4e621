"""Transactions that have been open for long: in a session, or prepared."""

from collections.abc import Iterable, Iterator

import sql
from ops_pipeline.counted import counted
from ops_pipeline.diagnosis.diagnosis import Diagnosis, Examination, NotAskedError
from ops_pipeline.finding import Finding
from ops_pipeline.postgres.connection import scalar
from ops_pipeline.postgres.relation import quoted

OLD_SECONDS = 3600


def _find_sessions(examined: Examination) -> Iterator[Finding]:
    rows = examined.connection.execute(sql.get("diagnosis/old_sessions"), {"seconds": OLD_SECONDS}).fetchall()
    yield from findings(rows)
    if not rows and (hidden := scalar(examined.connection, sql.get("diagnosis/hidden_sessions"))):
        user = quoted(examined.connection.info.user)
        raise NotAskedError(
            f"{counted(hidden, 'session')} of other users cannot be seen: GRANT pg_read_all_stats TO {user}"
        )


def _find_prepared(examined: Examination) -> Iterator[Finding]:
    values = {"seconds": OLD_SECONDS}
    return findings(examined.connection.execute(sql.get("diagnosis/old_prepared_transactions"), values))


def findings(rows: Iterable[tuple[str, float, list[str]]]) -> Iterator[Finding]:
    """A finding for each transaction: what it is, how many seconds it has been open, how to end it."""
    for transaction, seconds, remedies in rows:
        yield Finding(
            transaction,
            f"{transaction} has had a transaction open for {seconds:,.0f} s: VACUUM cannot remove dead rows "
            "that it may still see, and it holds its locks. Find out whose it is, then end it",
            tuple(remedies),
        )


OLD_TRANSACTIONS = Diagnosis(
    id="old_transactions",
    severity="warning",
    question="Are all open transactions younger than an hour?",
    remedy="Run `SELECT pg_terminate_backend(PID)`, which rolls it back; set "
    "`idle_in_transaction_session_timeout` for the application's role.",
    find=_find_sessions,
)
PREPARED_TRANSACTIONS = Diagnosis(
    id="prepared_transactions",
    severity="warning",
    question="Are all prepared transactions younger than an hour?",
    remedy="Run `COMMIT PREPARED` or `ROLLBACK PREPARED`, as its transaction manager says.",
    find=_find_prepared,
)

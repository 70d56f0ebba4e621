"""Forwards to a target until it is stopped, over new connections when the database was away."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager

import psycopg
import structlog

from ops_pipeline.forward.forwarder import Forwarder, Forwarding
from ops_pipeline.forward.position import ForwardError, lock_of
from ops_pipeline.postgres.advisory_lock import advisory_lock, lock_holder
from ops_pipeline.postgres.connection import Connection, connection_was_lost
from ops_pipeline.postgres.relation import quoted
from ops_pipeline.postgres.rights import MissingRightError

ROLE = "ops_forwarder"
PAUSE_SECONDS = 5.0

log = structlog.get_logger()


class BusyError(ForwardError):
    """Another process forwards to the target; the message names its session."""


def forward(forwarding: Forwarding, opened: Callable[[], AbstractContextManager[Connection]]) -> None:
    """Forwards until a stop is requested or, with `once`, what is there was delivered.

    `opened` connects to the database. When a connection is lost later, it is made again, without end unless
    `once`. Raises ForwardError, ForwardRefusedError, DatabaseUnavailableError, MissingRightError and
    psycopg.Error.
    """
    while True:
        try:
            with opened() as connection, only_process(connection, forwarding.target.name):
                began = forwarding.position is None
                forwarder = Forwarder(connection, forwarding)
                if began:
                    _say_start(forwarding)
                forwarder.run()
                return
        except Exception as error:
            if forwarding.position is None or forwarding.once or not _may_pass(error):
                raise
            log.warning("waiting for the database", target=forwarding.target.name, reason=str(error).strip())
        if forwarding.stop.wait(PAUSE_SECONDS):
            return


@contextmanager
def only_process(connection: Connection, name: str) -> Iterator[None]:
    """Holds the lock of the target of that name. Raises BusyError when another process holds it, and
    MissingRightError for what the login lacks."""
    lock = lock_of(name)
    with _rights(connection), ExitStack() as held:
        try:
            # The session of a process that was killed may take a moment to end.
            held.enter_context(advisory_lock(connection, lock, wait=True))
        except psycopg.errors.LockNotAvailable:
            raise BusyError(
                f"{name}: another process forwards to it: {lock_holder(connection, lock)}. Nothing was done. "
                "For a second target, write --name"
            ) from None
        yield


@contextmanager
def _rights(connection: Connection) -> Iterator[None]:
    try:
        yield
    except psycopg.errors.InsufficientPrivilege as error:
        user = quoted(connection.info.user)
        raise MissingRightError(
            f"{(error.diag.message_primary or str(error)).strip()}. To allow it: GRANT {ROLE} TO {user}"
        ) from error


def _may_pass(error: Exception) -> bool:
    # Our own session may still hold the lock after its connection was lost.
    return isinstance(error, BusyError) or connection_was_lost(error)


def _say_start(forwarding: Forwarding) -> None:
    position = forwarding.position
    since = position.since if position is not None else None
    log.info(
        "forwarding begins", target=forwarding.target.name, host=forwarding.target.host,
        after=position.seen_at.isoformat() if position is not None else None,
        log_since=since.isoformat() if since is not None else None,
    )  # fmt: skip

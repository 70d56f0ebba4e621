"""Stops a step, and its statements on the server, on an interrupt or when its run was killed."""

import functools
import multiprocessing
import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import sql
from ops_pipeline.orchestration.resources import MaintenanceResource
from ops_pipeline.policies.model import Database, Policy
from ops_pipeline.postgres.connection import DatabaseUnavailableError

AGAIN_SECONDS = 0.25
"""Cancel again after this time: the next statement may have begun as the one before was canceled."""


@functools.cache
def stop_with_parent() -> None:
    """Sends SIGTERM to this step's process once the process of its run has ended.

    Otherwise it would continue, holding its policy's lock, while Dagster retries the run.
    """
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="watch the run", daemon=True).start()


@contextmanager
def stopping_on_server(
    databases: MaintenanceResource, maintained: Database, policy: Policy
) -> Iterator[None]:
    """Until the context ends, an interrupt also cancels the statement of the policy's archiving session.

    psycopg cancels its own statements. The archiving session's driver waits in C code, where Python's signal
    handlers do not run; but Python writes a byte for each signal to a socket at once, and another thread
    reads it.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    signaled, wakeup = socket.socketpair()
    wakeup.setblocking(False)
    ended = threading.Event()

    def watch() -> None:
        while (signals := signaled.recv(16)) and not {signal.SIGINT, signal.SIGTERM}.intersection(signals):
            pass
        while signals and not ended.is_set():
            _cancel(databases, maintained, policy)
            ended.wait(AGAIN_SECONDS)

    watcher = threading.Thread(target=watch, name="stop on the server", daemon=True)
    before = signal.set_wakeup_fd(wakeup.fileno(), warn_on_full_buffer=False)
    watcher.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        ended.set()
        wakeup.close()
        watcher.join()
        signaled.close()


def _cancel(databases: MaintenanceResource, maintained: Database, policy: Policy) -> None:
    try:
        with databases.reach(maintained, f"stop {policy.name}") as connection:
            connection.execute(
                sql.get("orchestration/cancel_holder"), {"name": f"ops: worker of {policy.name}"}
            )
    except DatabaseUnavailableError:
        return  # there is nothing to cancel

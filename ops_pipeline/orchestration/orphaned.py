"""A step ends with its run: when the run's process is killed, its steps stop."""

import functools
import multiprocessing
import os
import signal
import threading


@functools.cache
def stop_with_parent() -> None:
    """From now on this step's process is told to stop when the process of its run has ended.

    Otherwise it would work on, holding its policy's lock, while Dagster starts the run again.
    """
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="watch the run", daemon=True).start()

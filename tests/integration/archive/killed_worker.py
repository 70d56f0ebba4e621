"""Deletes and archives in child processes that kill themselves after a given step.

Each line of standard input is the number of a step; the answer says how the child ended.
"""

import os
import signal
import sys
from itertools import count

from ops_pipeline.postgres.connection import connect
from ops_pipeline.storage.filesystem import Folder
from tests.integration.archive.removal import remove

url, folder = sys.argv[1:]


def child(last: int) -> None:
    """Every access to the storage and every step of the protocol is a point at which to kill."""
    passed = count()

    def step(_: str) -> None:
        if next(passed) == last:
            os.kill(os.getpid(), signal.SIGKILL)

    def stepping(name: str) -> None:
        method = getattr(Folder, name)

        def stepped(self: Folder, *values: object) -> object:
            step(f"before {name}")
            answer = method(self, *values)
            step(f"after {name}")
            return answer

        setattr(Folder, name, stepped)

    for each in ("write", "read", "rename", "delete"):
        stepping(each)
    with connect(url, "killed") as connection:
        remove(url, connection, folder, condition="target.id <= 600", step=step)


for line in sys.stdin:
    pid = os.fork()  # a new process without the half second that importing takes
    if pid == 0:
        child(int(line))
        os._exit(0)
    _, status = os.waitpid(pid, 0)
    sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
    sys.stdout.flush()

"""`python -m api` as a process of its own, for tests that ask it over the network."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def serving(url: str, folder: Path, port: int, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """The API over that database, listening until the end of the block, where it has to end well.

    Its log is `api.log` in the folder.
    """
    with (folder / "api.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "api"],
            cwd=folder,
            env={**os.environ, "OPS_DATABASE_URL": url, "OPS_API_PORT": str(port), **environment},
            stdout=log,
            stderr=log,
        )
    try:
        _wait(process, port)
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
        process.wait(timeout=45)


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


def _wait(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise AssertionError("the API does not listen; see api.log")

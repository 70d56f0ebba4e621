"""Runs `python -m api` as a process of its own, for tests that send it requests over the network."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.eventually import eventually


@contextmanager
def serving(url: str, folder: Path, port: int, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """Runs the API with that database until the end of the block, where it must end with exit code 0.

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
        eventually(lambda: _listens(port) or process.poll() is not None)
        assert process.poll() is None, "the API has ended; see api.log"
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
        process.wait(timeout=45)


def free_port() -> int:
    """A port that no process listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0

"""The API as a process, for tests that need a real connection."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tests.eventually import eventually


@contextmanager
def serving(url: str, **environment: str) -> Iterator[str]:
    """Runs `python -m api` with that database; yields its address. Stops it at the end."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = str(probe.getsockname()[1])
    process = subprocess.Popen(
        [sys.executable, "-m", "api"],
        env={**os.environ, "OPS_DATABASE_URL": url, "OPS_API_PORT": port, **environment},
        stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    try:
        eventually(lambda: _listens(int(port)) or process.poll() is not None)
        assert process.poll() is None, "the API has ended"
        yield f"http://127.0.0.1:{port}"
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=30)
        finally:
            process.kill()
            process.wait()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0

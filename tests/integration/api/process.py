"""The API as a process with a limit on open files, for tests."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.eventually import eventually

FAULTS = Path(__file__).with_name("server_with_faults.py")


@dataclass
class Api:
    """A running API."""

    popen: "subprocess.Popen[str]"
    address: str
    log: Path

    @classmethod
    def start(
        cls,
        folder: Path,
        url: str,
        *,
        faults: bool = False,
        open_files: int | None = None,
        **environment: str,
    ) -> "Api":
        """Starts it with that database, under `ulimit -n open_files`, and returns once it listens."""
        port = free_port()
        log = folder / f"api-{port}.log"
        command = [sys.executable, str(FAULTS)] if faults else [sys.executable, "-m", "api"]
        variables = {"OPS_DATABASE_URL": url, "OPS_API_PORT": str(port), **environment}
        with log.open("w") as output:
            popen = subprocess.Popen(
                command if open_files is None else limited(open_files, command),
                cwd=folder,
                env=os.environ | variables,
                stderr=output,
                text=True,
            )
        api = cls(popen, f"http://127.0.0.1:{port}", log)
        api.until(lambda: api.status("/health/live") == 200, seconds=120)
        return api

    def get(self, path: str, **options: Any) -> httpx.Response:
        return httpx.get(f"{self.address}{path}", timeout=30, **options)

    def status(self, path: str) -> int | None:
        """The status of its answer; None without an answer."""
        try:
            return self.get(path).status_code
        except httpx.TransportError:
            return None

    def until(self, condition: Callable[[], object], seconds: float = 60) -> None:
        """Waits until the condition is true."""
        eventually(condition, seconds=seconds, otherwise=self.log.read_text)

    def stop(self, told: signal.Signals = signal.SIGTERM) -> int:
        """Sends the signal and returns the exit code."""
        self.popen.send_signal(told)
        return self.popen.wait(timeout=60)


def limited(open_files: int, command: list[str]) -> list[str]:
    """The command with that `ulimit -n`."""
    return ["sh", "-c", f'ulimit -n {open_files} && exec "$@"', "sh", *command]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

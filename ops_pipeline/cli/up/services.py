"""Starts the API and Dagster together, and stops them together."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import ops_pipeline
from ops_pipeline.settings import Settings, SettingsError

PROGRAMS = Path(sys.executable).parent
WORKSPACE = Path(ops_pipeline.__file__).parents[1] / "workspace.yaml"
KILL_AFTER_SECONDS = 10.0
"""How long after the API's drain time the services that still run are killed."""


@dataclass(frozen=True, slots=True)
class Service:
    """A program that runs until it gets SIGTERM."""

    name: str
    command: list[str]


def services_of(settings: Settings) -> list[Service]:
    """The services that `opsctl up` runs besides the database."""
    dagster = [
        str(PROGRAMS / "dagster"), "dev", "--workspace", str(WORKSPACE),
        "--host", settings.dagster_host, "--port", str(settings.dagster_port),
    ]  # fmt: skip
    return [Service("dagster", dagster), Service("api", [sys.executable, "-m", "api"])]


def require_free_ports(settings: Settings) -> None:
    """Raises SettingsError when another program listens on a port of a service."""
    wanted = (
        ("OPS_DAGSTER_PORT", settings.dagster_host, settings.dagster_port),
        ("OPS_API_PORT", settings.api_host, settings.api_port),
    )
    taken = [
        f"{name}: cannot listen on port {port} of {host} ({reason}). Nothing was started. Another program "
        f"or another `opsctl up` may use it: stop that one, or set {name} to a free port"
        for name, host, port in wanted
        if (reason := _taken(host, port)) is not None
    ]
    if taken:
        raise SettingsError("\n".join(taken))


def _taken(host: str, port: int) -> str | None:
    try:
        # With SO_REUSEADDR, as the services do: a connection in TIME_WAIT after a restart is no obstacle.
        with socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET):
            return None
    except OSError as error:
        return error.strerror or str(error)


def run(
    services: list[Service],
    environment: Mapping[str, str],
    log_folder: Path,
    *,
    stop_within: float,
    report: Callable[[str], None],
) -> bool:
    """Runs the services until a signal arrives or one of them ends; returns whether it was the signal.

    Each then gets SIGTERM, and SIGKILL after `stop_within` seconds. Their output goes to `log_folder`.
    """
    stopped = threading.Event()

    def stop(_signal: int, _frame: FrameType | None) -> None:
        stopped.set()

    handlers = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    log_folder.mkdir(parents=True, exist_ok=True)
    running: dict[str, subprocess.Popen[bytes]] = {}
    try:
        for service in services:
            running[service.name] = _start(service, environment, log_folder)
        while not stopped.wait(0.2):
            for name, process in running.items():
                if process.poll() is not None:
                    report(
                        f"{name} exited with code {process.returncode}, so everything is stopped. Its log: "
                        f"{log_folder / name}.log"
                    )
                    return False
        return True
    finally:
        _stop(running, stop_within)
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _start(service: Service, environment: Mapping[str, str], log_folder: Path) -> subprocess.Popen[bytes]:
    with (log_folder / f"{service.name}.log").open("ab") as log:
        # In a session of its own: Ctrl-C reaches only this process, which stops each service in order.
        return subprocess.Popen(
            service.command,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def _stop(running: dict[str, subprocess.Popen[bytes]], within: float) -> None:
    for process in running.values():
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
    deadline = time.monotonic() + within
    while any(map(_group_lives, running.values())) and time.monotonic() < deadline:
        time.sleep(0.05)
    for process in running.values():
        if _group_lives(process):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _group_lives(process: subprocess.Popen[bytes]) -> bool:
    process.poll()  # a zombie would count as alive
    try:
        os.killpg(process.pid, 0)
    except ProcessLookupError:
        return False
    return True

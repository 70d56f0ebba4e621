"""Starts the API and Dagster together, and stops them together."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from ops_pipeline import INSTALLATION
from ops_pipeline.cli.up.workspace import Workspace
from ops_pipeline.settings import Settings, SettingsError

PROGRAMS = Path(sys.executable).parent
KILL_AFTER_SECONDS = 10.0
"""How long after the API's drain time the services that still run are killed."""


@dataclass(frozen=True, slots=True)
class Service:
    """A program that runs until it gets SIGTERM, and appends its output to the file `log`.

    It is started when a server answers at the socket `after`; at once, if that is None. `private`: variables
    for it alone.
    """

    name: str
    command: list[str]
    log: str
    after: Path | None = None
    private: Mapping[str, str] = field(default_factory=dict, repr=False)


def services_of(workspace: Workspace, sign_in: Mapping[str, str]) -> list[Service]:
    """The services that `opsctl up` runs besides the database. `sign_in`: the variable with the token of the
    first sign-in to the Dagster UI."""
    python, dagster, file = sys.executable, "dagster.log", str(workspace.file)
    code = [
        str(PROGRAMS / "dagster"), "code-server", "start", "--module-name", workspace.MODULE,
        "--socket", str(workspace.socket), "--log-level", "warning",
        "--working-directory", str(INSTALLATION),  # by default Dagster imports from the current folder first
    ]  # fmt: skip
    web = [python, "-m", "ops_pipeline.orchestration.webserver", "--workspace", file]
    daemon = [str(PROGRAMS / "dagster-daemon"), "run", "--workspace", file]
    return [
        Service("the code server", code, dagster),
        Service("the API", [python, "-m", "api"], "api.log"),
        Service("the Dagster UI", web, dagster, after=workspace.socket, private=sign_in),
        Service("the Dagster daemon", daemon, dagster, after=workspace.socket),
    ]


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
        # With SO_REUSEADDR, as the services do: a connection in TIME_WAIT after a restart is not an obstacle.
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
    answering: tuple[str, int],
    announce: Callable[[], None],
) -> bool:
    """Runs the services until a signal arrives or one of them ends; returns whether it was the signal.

    `announce` is called once a server answers at the host and port `answering`. At the end each service gets
    SIGTERM, and SIGKILL after `stop_within` seconds. Their output goes to `log_folder`.
    """
    stopped = threading.Event()

    def stop(_signal: int, _frame: FrameType | None) -> None:
        stopped.set()

    handlers = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    log_folder.mkdir(parents=True, exist_ok=True)
    running: dict[str, subprocess.Popen[bytes]] = {}
    try:
        waiting, announced = list(services), False
        while not stopped.is_set():
            for service in [each for each in waiting if each.after is None or _answers(each.after)]:
                running[service.name] = _start(service, environment, log_folder)
                waiting.remove(service)
            for service in services:
                process = running.get(service.name)
                if process is not None and process.poll() is not None:
                    report(
                        f"{service.name} {_ended(process.returncode)}, so everything is stopped. "
                        "What a run in progress has committed is kept; the next run continues from there. "
                        f"Its log: {log_folder / service.log}. To start again: opsctl up"
                    )
                    return False
            if not announced and _is_open(answering):
                announce()
                announced = True
            stopped.wait(0.2)
        return True
    finally:
        _stop(running, stop_within)
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _ended(code: int) -> str:
    if code >= 0:
        return f"exited with code {code}"
    # Nothing is in its log then.
    killed = ", for example because memory was short" if code == -signal.SIGKILL else ""
    return f"was ended by {signal.Signals(-code).name}{killed}"


def _answers(address: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(address)) == 0


def _is_open(address: tuple[str, int]) -> bool:
    try:
        with socket.create_connection(address, timeout=1):
            return True
    except OSError:
        return False


def _start(service: Service, environment: Mapping[str, str], log_folder: Path) -> subprocess.Popen[bytes]:
    with (log_folder / service.log).open("ab") as log:
        # In a session of its own: Ctrl-C reaches only this process, which stops each service in order.
        return subprocess.Popen(
            service.command,
            env={**environment, **service.private},
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

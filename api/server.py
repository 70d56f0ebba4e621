"""The process: it listens, drains when told to stop, and says by its exit code how that went."""

import asyncio
import signal
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import structlog
import uvicorn

from api import logs
from api.app import create_app, observed
from ops_pipeline import database, embedded, settings
from ops_pipeline.maintenance import partitions

log = structlog.get_logger()


def main() -> None:
    """Serves until SIGTERM or SIGINT, then drains.

    Exit 0 when every request in flight was answered, 1 when the time for that ran out or the server
    could not start.
    """
    logs.configure()
    try:
        loaded = settings.load()
        with embedded.resolved(loaded) as resolved:
            if loaded.database_url is None:
                _migrate(str(resolved.database_url))
            drained = asyncio.run(_serve(resolved))
    except (settings.SettingsError, embedded.EmbeddedServerError, OSError) as error:
        sys.exit(f"The API cannot start: {error}")
    sys.exit(0 if drained else 1)


class _Server(uvicorn.Server):
    """uvicorn, leaving the signals and so the exit code to us."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def _serve(resolved: settings.Settings) -> bool:
    app = create_app(resolved)
    listening = socket.create_server((resolved.api_host, resolved.api_port), backlog=1024)
    server = _Server(
        uvicorn.Config(
            observed(app),
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=max(1, int(resolved.shutdown_timeout_seconds)),
        )
    )
    told: list[float] = []

    def stop(name: str) -> None:
        if not told:
            log.info("draining", signal=name)
        told.append(time.monotonic())
        app.state.lifecycle.draining = True
        server.should_exit = True

    loop = asyncio.get_running_loop()
    for each in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(each, stop, each.name)
    log.info("listening", host=resolved.api_host, port=resolved.api_port)
    await server.serve(sockets=[listening])
    seconds = time.monotonic() - told[0] if told else 0.0
    in_time = seconds < resolved.shutdown_timeout_seconds
    log.info("stopped", seconds=round(seconds, 3), in_time=in_time)
    return in_time


def _migrate(url: str) -> None:
    # The embedded database is ours alone; one that was named is migrated when its operator says so.
    database.migrate(url)
    with database.connect(url, "ops api") as connection:
        partitions.ensure_ahead(connection, "public.audit_logs")

"""Runs the API's process: listens, drains on SIGTERM, and exits with 0 or 1."""

import asyncio
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import structlog
import uvicorn
from uvicorn.loops.auto import auto_loop_factory

from api.app import create_app, observed
from api.process import logs
from api.process.drain import Drain
from api.process.open_files import most_clients
from api.process.watchdog import Watchdog
from api.services import services_of
from ops_pipeline import settings
from ops_pipeline.policies.file import PolicyError
from ops_pipeline.postgres import embedded
from ops_pipeline.postgres.connection import (
    DatabaseRefusedError,
    DatabaseUnavailableError,
    connect_bare,
    refuse_unusable,
)
from ops_pipeline.postgres.ready import refuse_unready
from ops_pipeline.serving.connections import Connections
from ops_pipeline.serving.protocol import KEEP_ALIVE_SECONDS, BoundedProtocol

log = structlog.get_logger()


ALIVE = ("/health/live", "/livez")
CONNECT_SECONDS = 2
"""How long a database that does not answer may delay the start. The API starts without it."""


def main() -> None:
    """Serves requests until SIGTERM or SIGINT, then drains.

    Exits with 0 when every request in flight was answered and everything was closed in time; with 1 when not,
    when an exception was not caught, or when the server could not start; with 2 when a setting is missing or
    invalid.
    """
    logs.configure()
    try:
        most = most_clients()
        with embedded.resolved(settings.load()) as resolved:
            logs.hide(resolved.secret_urls(), resolved.secret_addresses())
            _refuse_unusable(str(resolved.database_url))
            with asyncio.Runner(loop_factory=auto_loop_factory()) as runner:
                drained = runner.run(_serve(resolved, most))
    except (settings.SettingsError, PolicyError) as error:
        sys.stderr.write(f"The API cannot start: {error}\n")
        sys.exit(2)
    except (DatabaseRefusedError, OSError) as error:
        sys.exit(f"The API cannot start: {error}")
    sys.exit(0 if drained else 1)


async def _serve(resolved: settings.Settings, most: int) -> bool:
    app = create_app(resolved)
    lifecycle = services_of(app).lifecycle
    listening = socket.create_server((resolved.api_host, resolved.api_port), backlog=1024)
    config = uvicorn.Config(
        observed(app),
        http=BoundedProtocol,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        # A client can send any X-Forwarded-For; the audit log records the peer's address.
        proxy_headers=False,
    )
    server = _Server(config)
    server.server_state = connections = Connections(most, ALIVE)
    connections.watch()
    drain = Drain(
        server=server,
        lifecycle=lifecycle,
        seconds=resolved.shutdown_timeout_seconds,
        delay=resolved.prestop_delay_seconds,
    )
    watchdog = Watchdog(
        loop=asyncio.get_running_loop(),
        listening=listening.dup(),
        stop=drain.begin,
        shutdown_seconds=resolved.shutdown_timeout_seconds,
        busy_with=lifecycle.busy_with,
    )
    drain.enforce = watchdog.enforce
    server.drain, server.watchdog = drain, watchdog
    watchdog.start()
    drain.begin_on_uncaught()
    log.info("listening", host=resolved.api_host, port=resolved.api_port, most_connections=most)
    await server.serve(sockets=[listening])
    return drain.succeeded


class _Server(uvicorn.Server):
    """uvicorn's server, with our handling of signals, drain and exit code."""

    drain: Drain
    watchdog: Watchdog

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self.watchdog.let_go()
        await self.drain.carry_out(sockets or [])


def _refuse_unusable(url: str) -> None:
    try:
        with connect_bare(url, connect_timeout=CONNECT_SECONDS) as connection:
            refuse_unusable(url, connection.info)
            refuse_unready(connection)
    except DatabaseRefusedError:
        raise
    except DatabaseUnavailableError as error:
        log.warning("database unavailable at the start", error=str(error))

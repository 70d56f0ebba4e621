"""The process: it listens, drains when told to stop, and says by its exit code how that went."""

import asyncio
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import structlog
import uvicorn
from uvicorn.loops.auto import auto_loop_factory

from api import logs
from api.app import create_app, observed
from api.drain import Drain
from api.watchdog import Watchdog
from ops_pipeline import database, embedded, settings
from ops_pipeline.maintenance import partitions
from ops_pipeline.policy_file import PolicyError

log = structlog.get_logger()


def main() -> None:
    """Serves until SIGTERM or SIGINT, then drains.

    Exit 0 when every request in flight was answered and everything was closed in time; 1 when not, when
    something failed that nobody caught, or when the server could not start.
    """
    logs.configure()
    try:
        loaded = settings.load()
        with embedded.resolved(loaded) as resolved:
            logs.hide(resolved.secret_urls())
            if loaded.database_url is None:
                _migrate(str(resolved.database_url))
            with asyncio.Runner(loop_factory=auto_loop_factory()) as runner:
                drained = runner.run(_serve(resolved))
    except (settings.SettingsError, PolicyError, embedded.EmbeddedServerError, OSError) as error:
        sys.exit(f"The API cannot start: {error}")
    sys.exit(0 if drained else 1)


async def _serve(resolved: settings.Settings) -> bool:
    app = create_app(resolved)
    listening = socket.create_server((resolved.api_host, resolved.api_port), backlog=1024)
    config = uvicorn.Config(
        observed(app), lifespan="on", log_config=None, access_log=False, server_header=False
    )
    server = _Server(config)
    drain = Drain(
        server=server,
        lifecycle=app.state.lifecycle,
        seconds=resolved.shutdown_timeout_seconds,
        delay=resolved.prestop_delay_seconds,
    )
    watchdog = Watchdog(
        loop=asyncio.get_running_loop(),
        listening=listening.dup(),
        stop=drain.begin,
        shutdown_seconds=resolved.shutdown_timeout_seconds,
        busy_with=app.state.lifecycle.busy_with,
    )
    drain.enforce = watchdog.enforce
    server.drain, server.watchdog = drain, watchdog
    watchdog.start()
    drain.begin_on_uncaught()
    log.info("listening", host=resolved.api_host, port=resolved.api_port)
    await server.serve(sockets=[listening])
    return drain.succeeded


class _Server(uvicorn.Server):
    """uvicorn, leaving the signals, the drain and so the exit code to us."""

    drain: Drain
    watchdog: Watchdog

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self.watchdog.let_go()
        await self.drain.carry_out(sockets or [])


def _migrate(url: str) -> None:
    # The embedded database is ours alone; one that was named is migrated when its operator says so.
    database.migrate(url)
    with database.connect(url, "ops api") as connection:
        partitions.ensure_ahead(connection, "public.audit_logs")

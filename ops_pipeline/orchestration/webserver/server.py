"""Serves an application over HTTP and websockets, with limits on what each client may send."""

import asyncio
import sys
from contextlib import AbstractAsyncContextManager, suppress

import uvicorn
from starlette.types import ASGIApp
from uvicorn.loops.auto import auto_loop_factory

from ops_pipeline.serving.connections import Connections, most_connections
from ops_pipeline.serving.protocol import KEEP_ALIVE_SECONDS, BoundedProtocol

OWN_FILES = 256
"""Files of the process itself: up to 21 connections to Dagster's database, those that look keys up, and those
of gRPC, which ends the process where it cannot open another one."""
FILES_OF_CLIENT = 2
"""Its connection, and the page or picture that it is sent."""
ALIVE = ("/server_info",)
MOST_MESSAGE = 64 * 1024
"""Bytes of a websocket's message; the largest one of Dagster's pages has 8 KiB."""
DRAIN_SECONDS = 5


def most_clients() -> int:
    """How many connections there may be. Raises FileLimitError."""
    return most_connections(OWN_FILES, FILES_OF_CLIENT)


def run(
    app: ASGIApp, host: str, port: int, *, most: int, during: AbstractAsyncContextManager[object]
) -> None:
    """Serves at most so many connections, until SIGTERM or SIGINT; `during` is entered before and left after.
    Exits with 1 where it cannot listen."""
    with asyncio.Runner(loop_factory=auto_loop_factory()) as runner, suppress(KeyboardInterrupt):
        if not runner.run(_serve(configured(app, host=host, port=port), most, during)):
            sys.exit(1)


def configured(app: ASGIApp, host: str = "127.0.0.1", port: int = 0) -> uvicorn.Config:
    """The settings of uvicorn, which is to be given `Connections` as its state."""
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        http=BoundedProtocol,
        ws_max_size=MOST_MESSAGE,
        log_level="warning",
        access_log=False,
        server_header=False,
        # A client can send any X-Forwarded-For.
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=DRAIN_SECONDS,
    )


async def _serve(config: uvicorn.Config, most: int, during: AbstractAsyncContextManager[object]) -> bool:
    server = uvicorn.Server(config)
    server.server_state = connections = Connections(most, ALIVE)
    connections.watch()
    async with during:
        await server.serve()
    return server.started

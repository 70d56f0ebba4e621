"""uvicorn's HTTP/1.1 protocol with limits on the size and duration of everything a client sends."""

import asyncio
from functools import partial
from typing import Any, Literal, cast

import httptools
from uvicorn._types import ASGI3Application
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from ops_pipeline.serving.connections import Connections
from ops_pipeline.serving.known_sender import KNOWN
from ops_pipeline.serving.transport import Flow, OwnClose
from ops_pipeline.serving.violations import Violation, half_a_request, not_http, too_large, too_many, too_slow

MOST_UNPARSED = 64 * 1024
"""Bytes the parser may buffer before it delivers anything: a head, a chunk's extensions, the trailers. It
copies its buffer with each read."""
PIECE = 1024
"""Bytes parsed at a time. Data after a pipelined request that waits is not parsed yet: requests are short,
and parsing all requests of one read would delay other clients."""
MOST_HEADERS = 256
"""Each header costs the framework time, and 64 KiB have room for sixteen thousand short ones."""
HEAD_SECONDS = 10.0
"""From a request's first byte, or from the connection itself, to the end of its headers."""
BODY_SECONDS = 10.0
LEAST_BODY = 10 * 1024
"""Bytes of a body that must arrive in each 10 seconds: 1 KiB a second."""
KEEP_ALIVE_SECONDS = 5
UNREAD_SECONDS = 60.0
"""How long a client may read nothing of its response; as long as an export's transaction may be idle."""
CLOSING_SECONDS = 10.0
"""The same for the last bytes before the connection is closed."""
NEW_SECONDS = 1.0
"""How long a new connection may take to send its first request while the server shuts down."""
REST_SECONDS = 5.0
MOST_REST = 64 * 1024 * 1024
"""For how long, and how many bytes of it, the rest of a body is read that was answered before its end."""
REFUSED = "refused"
"""The key in a request's `state` of the Violation to respond with."""


Phase = Literal["nothing", "head", "body"]
"""The part of a request that is being read."""


class BoundedProtocol(HttpToolsProtocol):
    """One connection. A violated limit is answered with its reason, through the application.

    Of a websocket it reads the head; what follows is uvicorn's.
    """

    server_state: Connections
    flow: Flow
    # uvicorn's class has 27 attributes; CPython is slower for objects with more than 30.
    __slots__ = (
        "_gave_way",
        "_known",
        "_lingers",
        "_phase",
        "_read_last",
        "_received",
        "_refused",
        "_rest",
        "_running",
        "_silent",
        "_since",
        "_unparsed",
        "_unsent",
        "for_probes",
    )

    def __init__(
        self,
        config: Config,
        server_state: Connections,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.for_probes = False
        self._phase: Phase = "head"
        self._since = self.loop.time()
        self._silent = True
        self._lingers = False
        self._gave_way = False
        self._known = False
        self._refused = False
        self._rest = b""
        self._unparsed = 0
        self._received = 0
        self._unsent = 0
        self._read_last = self._since
        self._running: RequestResponseCycle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        self.flow = Flow(transport)
        self.server_state.opened(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.server_state.waiting.pop(self, None)
        if self._running is not None and not self._running.response_complete:
            # uvicorn only notifies the last request, which may be waiting behind this one.
            self._running.disconnected = True
            self._running.message_event.set()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._lingers:
            self._received += len(data)
            if self._received > MOST_REST:
                self.transport.close()
            return
        self._unset_keepalive_if_required()
        self._silent = False
        self._rest = self._rest + data if self._rest else data
        self._parse()

    def check(self, now: float) -> None:
        """Cuts off a client that has taken too long. Called each second."""
        unsent = self.transport.get_write_buffer_size()
        if unsent == 0 or unsent < self._unsent:
            self._read_last = now
        self._unsent = unsent
        if now - self._read_last >= (CLOSING_SECONDS if self.transport.is_closing() else UNREAD_SECONDS):
            self.server_state.count_cut_off("answer_not_read", self)
            self.transport.abort()
        elif not self.transport.is_closing():
            self._check_request(now)

    def is_new(self, now: float) -> bool:
        """Whether its first request may still be on its way."""
        return self.cycle is None and now - self._since < NEW_SECONDS

    def close(self) -> None:
        """Closes this connection after a response. If the client still sends the request's body, the end of
        the response is sent, and some more of the body read: closing would reset the connection, and a client
        that has not read the response yet would lose it. Where it makes room for another, it is closed at
        once."""
        if self._phase != "body" or self._running is not self.cycle or self._lingers or self._gave_way:
            self.transport.close()
            return
        self._lingers = True
        self._since, self._received = self.loop.time(), 0
        self.transport.write_eof()
        self.flow.resume_reading()

    def shutdown(self) -> None:
        if self._phase == "body" and self.cycle.response_complete:
            if not self._lingers:
                self.close()
        else:
            super().shutdown()

    def give_way(self) -> None:
        """Closes this connection, which has no whole request being handled, to make room for another one."""
        if self._lingers or self.transport.is_closing() or self.transport.get_write_buffer_size():
            self.server_state.count_cut_off("gave_way", self)
            self.transport.abort()
        else:
            self._gave_way = True
            self._refuse("gave_way", too_many(self.server_state.most))

    def on_message_begin(self) -> None:
        super().on_message_begin()
        if self._phase == "nothing":
            self._begin_head()

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        if self.parser.should_upgrade() and self._should_upgrade():
            if len(self.headers) > MOST_HEADERS:
                self._refuse("head_too_large", too_large(f"{MOST_HEADERS} headers"))
            return
        self.cycle.transport = cast("Any", OwnClose(self.transport, self.close))
        self._phase = "body"
        self._since, self._received, self._unparsed = self.loop.time(), 0, 0
        if len(self.headers) > MOST_HEADERS:
            self._refuse("head_too_large", too_large(f"{MOST_HEADERS} headers"))
        elif self.for_probes:
            self.cycle.keep_alive = False
            if self.scope["path"] not in self.server_state.alive:
                self._refuse("too_many_connections", too_many(self.server_state.most))
        self.headers = []  # for trailers: the request keeps its own headers

    def on_body(self, body: bytes) -> None:
        self._unparsed = 0
        self._received += len(body)
        if self.cycle.response_complete and self._received > MOST_REST:
            self.transport.close()
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._unparsed = 0
        self._phase = "nothing"
        self._stay_if_handled()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        self.server_state.waiting[self] = None
        self._since = self.loop.time()
        super().on_response_complete()
        self._stay_if_handled()
        if self._rest and not self.pipeline:
            self.loop.call_soon(self._parse)

    def pause_writing(self) -> None:
        super().pause_writing()
        self.server_state.waiting[self] = None

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stay_if_handled()

    def handle_websocket_upgrade(self) -> None:
        self.server_state.waiting.pop(self, None)
        super().handle_websocket_upgrade()

    def timeout_keep_alive_handler(self) -> None:
        if self._phase == "nothing":
            super().timeout_keep_alive_handler()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._running = cycle
        self._known = False
        cast("Any", cycle.scope)["state"][KNOWN] = partial(self._sender_is_known, cycle)
        super()._start_asgi_task(cycle, app)

    def _sender_is_known(self, cycle: RequestResponseCycle) -> None:
        if cycle is self._running:
            self._known = True
            self._stay_if_handled()

    def _stay_if_handled(self) -> None:
        """Gives way no longer where a request is being handled that is complete, or whose sender is known."""
        running = self._running
        if running is None or running.response_complete:
            return
        if self._known or running is not self.cycle or self._phase != "body":
            self.server_state.waiting.pop(self, None)

    def _should_upgrade(self) -> bool:
        return not self.for_probes and super()._should_upgrade()

    def _unsupported_upgrade_warning(self) -> None:
        """Logs nothing: a client could cause a line with every request."""

    def _parse(self) -> None:
        if self.transport.is_closing():
            return
        data, position = self._rest, 0
        if self._phase == "nothing" and not self.pipeline:
            self._unset_keepalive_if_required()
            self._begin_head()
        while position < len(data) and not self.pipeline and not self._refused:
            begin = position
            piece = data[begin : begin + min(PIECE, MOST_UNPARSED - self._unparsed)]
            position += len(piece)
            self._unparsed += len(piece)
            try:
                self.parser.feed_data(piece)
            except httptools.HttpParserUpgrade as upgrade:
                if not self._refused and self._should_upgrade():
                    self.handle_websocket_upgrade()
                    return
                # No other upgrade is supported, so the following data is the next request.
                position = begin + upgrade.args[0]
            except httptools.HttpParserError:
                self._refuse("not_http", not_http())
            if self._unparsed >= MOST_UNPARSED:
                self._refuse("head_too_large", too_large(f"{MOST_UNPARSED} bytes"))
        self._rest = b"" if self._refused else data[position:]
        self.flow.hold(bool(self._rest))

    def _begin_head(self) -> None:
        self._phase = "head"
        self._since = self.loop.time()

    def _check_request(self, now: float) -> None:
        if self._lingers:
            if now - self._since >= REST_SECONDS:
                self.transport.close()
            return
        waiting_for_us = self.flow.read_paused or (self.cycle and self.cycle.waiting_for_100_continue)
        if self._refused or self._phase == "nothing":
            return
        if waiting_for_us:
            self._since, self._received = now, 0
        elif self._phase == "head":
            if now - self._since >= HEAD_SECONDS:
                self._refuse("head_too_slow", too_slow("head", f"was not complete after {HEAD_SECONDS:g} s"))
        elif now - self._since >= BODY_SECONDS:
            if self._received < LEAST_BODY or self.cycle.response_complete:
                few = f"had {self._received} bytes in {BODY_SECONDS:g} s, at least {LEAST_BODY} are required"
                self._refuse("body_too_slow", too_slow("body", few))
            self._since, self._received = now, 0

    def _refuse(self, why: str, violation: Violation) -> None:
        if self._refused or self.transport.is_closing():
            return
        self._refused = True
        self.server_state.count_cut_off(why, self)
        if self._phase == "head" and not self._silent:
            self._answer_half_a_request(violation)
        elif self._phase == "body" and not self.cycle.response_complete:
            self.cycle.scope["state"][REFUSED] = violation
            self.cycle.keep_alive = False
            self.cycle.message_event.set()
        else:
            self.shutdown()  # at once, or after the response in progress

    def _answer_half_a_request(self, violation: Violation) -> None:
        asked = half_a_request(self.asgi_version, self.scheme, self.server, self.client)
        asked["state"] = {REFUSED: violation}
        scope = cast("Any", asked)
        before = self.cycle
        self.cycle = RequestResponseCycle(
            scope=scope,
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=False,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=False,
            keep_alive=False,
            on_response=self.on_response_complete,
        )
        if before is None or before.response_complete:
            self._start_asgi_task(self.cycle, self.app)
            self._stay_if_handled()
        else:
            self.pipeline.appendleft((self.cycle, self.app))

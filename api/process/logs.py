"""Configures structured logs: JSON, or readable text on a terminal."""

import logging
import sys
from collections.abc import Iterable
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, TextIO

import msgspec
import structlog

from api.process.redaction import Redaction

LIBRARIES_FROM = logging.WARNING
"""Below this level libraries log normal operation; httpx logs whole URLs."""

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)
"""The id of the request that is being handled; every line has it."""

# Without local variables, which include clients' keys and passwords.
TRACEBACKS = structlog.processors.ExceptionRenderer(
    structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
)


def _name_request(_: Any, __: str, line: structlog.typing.EventDict) -> structlog.typing.EventDict:
    if (id_ := request_id.get()) is not None:
        line["request_id"] = id_
    return line


SHARED: list[structlog.typing.Processor] = [
    _name_request,
    structlog.processors.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]


def configure() -> None:
    """Configures the log: one line per event on standard error, with the request's id.

    Library logs through Python's logging, warnings and uncaught exceptions are written the same way.
    """
    at_a_terminal = sys.stderr.isatty()
    _request_log.stream = None if at_a_terminal else sys.stderr
    finish: list[structlog.typing.Processor] = (
        [structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback), _without_secrets]
        if at_a_terminal
        else [TRACEBACKS, structlog.processors.JSONRenderer(), _without_secrets]
    )
    structlog.configure(
        processors=[*SHARED, *finish],
        wrapper_class=structlog.make_filtering_bound_logger("info"),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*SHARED, structlog.stdlib.add_logger_name],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *finish],
        )
    )
    logging.basicConfig(handlers=[handler], level=LIBRARIES_FROM, force=True)
    logging.captureWarnings(capture=True)
    sys.excepthook = _log_uncaught


class RequestLine(msgspec.Struct):
    """What is logged of each request: its route's template, the milliseconds to the end of the response, and
    the address of the peer."""

    request_id: str
    method: str
    route: str
    status: int
    ms: float
    peer: str | None
    event: str = "request"
    level: str = "info"
    timestamp: datetime = msgspec.field(default_factory=lambda: datetime.now(UTC))


@dataclass(slots=True)
class _RequestLog:
    """Where the lines of requests are written; None: through structlog, as text for a terminal."""

    stream: TextIO | None = None


def log_request(line: RequestLine) -> None:
    """Writes the line of a request. Most lines are these, and structlog takes five times as long for one."""
    if _request_log.stream is None:
        values = msgspec.structs.asdict(line)
        structlog.get_logger().info(**{name: values[name] for name in REQUEST_VALUES})
    else:
        _request_log.stream.write(f"{_redaction.apply(_encode(line).decode())}\n")


REQUEST_VALUES = ("event", "method", "route", "status", "ms", "peer")
_request_log = _RequestLog()
_encode = msgspec.json.Encoder().encode


def hide(urls: Iterable[str | None], addresses: Iterable[str | None] = ()) -> None:
    """Hides the secrets of these URLs in every later log line, of `addresses` the path too."""
    _redaction.add(urls, addresses)


_redaction = Redaction()


def _without_secrets(_: Any, __: str, line: Any) -> str:
    # The last step, so that it applies to messages, tracebacks and library logs.
    return _redaction.apply(str(line))


def _log_uncaught(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    if isinstance(error, KeyboardInterrupt):
        sys.__excepthook__(kind, error, traceback)
        return
    structlog.get_logger().critical("uncaught", where="main", exc_info=error)

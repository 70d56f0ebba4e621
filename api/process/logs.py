"""Configures structured logs: JSON, or readable text on a terminal."""

import logging
import sys
from collections.abc import Iterable
from types import TracebackType
from typing import Any

import structlog

from api.process.redaction import Redaction

LIBRARIES_FROM = logging.WARNING
"""Below this level libraries log normal operation; httpx logs whole URLs."""

# Without local variables, which include clients' keys and passwords.
TRACEBACKS = structlog.processors.ExceptionRenderer(
    structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
)
SHARED: list[structlog.typing.Processor] = [
    structlog.contextvars.merge_contextvars,
    structlog.processors.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]


def configure() -> None:
    """Configures the log: one line per event on standard error, with the request's id.

    Library logs through Python's logging, warnings and uncaught exceptions are written the same way.
    """
    at_a_terminal = sys.stderr.isatty()
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

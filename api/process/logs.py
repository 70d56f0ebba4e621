"""Configures structured logs: JSON, or readable text on a terminal."""

import json
import logging
import re
import sys
from collections.abc import Iterable
from types import TracebackType
from typing import Any
from urllib.parse import unquote, urlsplit

import structlog

LIBRARIES_FROM = logging.WARNING
"""Below this level libraries log normal operation; httpx logs whole URLs."""

HIDDEN = "[hidden]"
KEY = re.compile(r"\bops_[A-Za-z0-9_-]{43}\b")
"""An API key, as `ops_pipeline.access.keys` creates them."""
CREDENTIALS = re.compile(r"(?<=://)[^\s/@'\"]*:[^\s/'\"]*(?=@)")
"""User and password in a URL."""

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


def hide(values: Iterable[str | None]) -> None:
    """Hides the passwords and query parameters of these URLs in every later log line."""
    for value in values:
        for secret in _secrets(value or ""):
            # As written in the URL, as decoded, and as either is written in JSON.
            forms = {secret, unquote(secret)}
            _hidden.update(forms | {json.dumps(form)[1:-1] for form in forms})


_hidden: set[str] = set()
LEAST_LENGTH = 4
"""Shorter secrets occur in ordinary words."""


def _secrets(url: str) -> list[str]:
    try:
        parts = urlsplit(url)
        password = parts.password or ""
    except ValueError:
        return []
    values = [pair.partition("=")[2] for pair in parts.query.split("&")]
    return [secret for secret in (password, *values) if len(secret) >= LEAST_LENGTH]


def _without_secrets(_: Any, __: str, line: Any) -> str:
    # The last step, so that it applies to messages, tracebacks and library logs.
    text = str(line)
    for secret in _hidden:
        if secret in text:
            text = text.replace(secret, HIDDEN)
    if "://" in text:
        text = CREDENTIALS.sub(HIDDEN, text)
    return KEY.sub(HIDDEN, text) if "ops_" in text else text


def _log_uncaught(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    if isinstance(error, KeyboardInterrupt):
        sys.__excepthook__(kind, error, traceback)
        return
    structlog.get_logger().critical("uncaught", where="main", exc_info=error)

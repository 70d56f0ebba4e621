"""Configures the log of a command that runs as a service: a line of JSON per event, on a terminal as text."""

import sys
from typing import Any

import structlog

from ops_pipeline.cli.output import visible


def configure() -> None:
    """Writes the log to standard error."""
    at_a_terminal = sys.stderr.isatty()
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *([structlog.dev.ConsoleRenderer(colors=False), _visible] if at_a_terminal else [_json]),
        ],
        wrapper_class=structlog.make_filtering_bound_logger("info"),
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
    )


# JSON shows control characters as escapes by itself.
_json = structlog.processors.JSONRenderer()


def _visible(_: Any, __: str, line: Any) -> str:
    return visible(str(line))

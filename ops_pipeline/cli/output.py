"""Where a command's answer goes: a table for a person, one JSON object for a script."""

from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console, RenderableType

Json = Annotated[bool, typer.Option("--json", help="One JSON object on standard output, for scripts.")]

NEEDS_APPROVAL = 3
"""The exit code where nothing failed, but a plan waits for a person."""
UNWATCHED_WIDTH = 100_000
"""Columns of what goes into a file or a pipe: as many as it needs, so that nothing is cut."""


def _console(*, stderr: bool) -> Console:
    """A console that breaks no line by itself, so that what is piped can be searched."""
    at_a_terminal = Console(stderr=stderr).is_terminal
    return Console(stderr=stderr, soft_wrap=True, width=None if at_a_terminal else UNWATCHED_WIDTH)


console = _console(stderr=False)
notes = _console(stderr=True)


def answer(content: Any, *lines: RenderableType, as_json: bool) -> None:
    """The content as the one object on standard output, or else those lines and tables, as they are."""
    if as_json:
        typer.echo(msgspec.json.encode(content).decode())
        return
    for line in lines:
        # A table marks up its cells; in a sentence, square brackets are a name's.
        console.print(line, markup=not isinstance(line, str), emoji=False)


def complain(message: object) -> None:
    """What went wrong, on standard error."""
    notes.print(str(message), style="red", markup=False, highlight=False)

"""Prints a command's result: a table for a person, one JSON object for a script."""

import re
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console, RenderableType
from rich.text import Text

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object, for scripts.")]

NEEDS_APPROVAL = 3
"""The exit code when nothing failed but a plan needs approval."""
INTERRUPTED = 130
"""The exit code of a program that Ctrl-C or SIGTERM ended, by the shells' convention."""
UNWATCHED_WIDTH = 100_000
"""The width of output into a file or a pipe: wide enough that nothing is cut or wrapped."""


CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
"""Characters that move the cursor, change colours, titles and the clipboard, or reverse a line."""


class _Console(Console):
    """Shows control characters in names and texts from a database as escapes instead of obeying them."""

    def render_str(self, text: str, **style: Any) -> Text:
        return super().render_str(visible(text), **style)


def visible(text: str) -> str:
    """The text with each control character except tab and line feed as an escape."""
    return CONTROL.sub(lambda found: ascii(found[0])[1:-1], text)


def one_line(text: str) -> str:
    """The text as one line: line ends in it are shown as escapes."""
    return visible(text).replace("\n", "\\n")


def _console(*, stderr: bool) -> Console:
    """A console that wraps no line, so that piped output can be searched."""
    at_a_terminal = Console(stderr=stderr).is_terminal
    return _Console(stderr=stderr, soft_wrap=True, width=None if at_a_terminal else UNWATCHED_WIDTH)


console = _console(stderr=False)
notes = _console(stderr=True)


def answer(content: Any, *lines: RenderableType, as_json: bool) -> None:
    """Prints `content` as one JSON object, or else the lines and tables."""
    if as_json:
        typer.echo(msgspec.json.encode(content).decode())
        return
    for line in lines:
        # Square brackets in a sentence belong to a name, and a number in it is no more than its other words.
        console.print(line, markup=not isinstance(line, str), emoji=False, highlight=False)


def complain(message: object) -> None:
    """Prints an error on standard error."""
    notes.print(str(message), style="red", markup=False, highlight=False)

"""Where a command's answer goes: a table for a person, one JSON object for a script."""

import re
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console, RenderableType
from rich.text import Text

Json = Annotated[bool, typer.Option("--json", help="One JSON object on standard output, for scripts.")]

NEEDS_APPROVAL = 3
"""The exit code where nothing failed, but a plan waits for a person."""
UNWATCHED_WIDTH = 100_000
"""Columns of what goes into a file or a pipe: as many as it needs, so that nothing is cut."""


CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
"""What moves the cursor, changes colours, titles and the clipboard, or turns a line's direction around."""


class _Console(Console):
    """Shows control characters, which names and texts from a database may have, and obeys none of them."""

    def render_str(self, text: str, **style: Any) -> Text:
        return super().render_str(visible(text), **style)


def visible(text: str) -> str:
    """The text with each control character but tab and line feed as an escape."""
    return CONTROL.sub(lambda found: ascii(found[0])[1:-1], text)


def one_line(text: str) -> str:
    """The text as one line: what ends lines in it is shown as an escape."""
    return visible(text).replace("\n", "\\n")


def _console(*, stderr: bool) -> Console:
    """A console that breaks no line by itself, so that what is piped can be searched."""
    at_a_terminal = Console(stderr=stderr).is_terminal
    return _Console(stderr=stderr, soft_wrap=True, width=None if at_a_terminal else UNWATCHED_WIDTH)


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

"""Prints a command's result: a table for a person, one JSON object for a script.

All that `opsctl` prints goes through this file, tracebacks too, and shows control characters as escapes.
"""

import re
import sys
import traceback
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from ops_pipeline.cli.embedded_option import with_option

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object, for scripts.")]

NEEDS_APPROVAL = 3
"""The exit code when nothing failed but a plan needs approval."""
INTERRUPTED = 130
"""The exit code of a program that Ctrl-C or SIGTERM ended, by the shells' convention."""
UNWATCHED_WIDTH = 100_000
"""The width of output into a file or a pipe: wide enough that nothing is cut or wrapped."""


CONTROL = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
"""Characters that move the cursor, change colors, titles and the clipboard, or reverse a line; and
surrogates, which cannot be printed."""


class _Console(Console):
    """Shows every text as `visible` has it, those from a database too."""

    def render_str(self, text: str, **style: Any) -> Text:
        # Before it is measured and wrapped.
        return super().render_str(visible(text), **style)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        # Whatever is printed, a Text or a table too, ends as segments; rich's own cursor movements are
        # control segments.
        for text, style, control in super().render(renderable, options):
            yield Segment(text if control else visible(text), style, control)


def visible(text: str) -> str:
    """The text as a terminal shows it: its commands can be pasted, and each control character except tab and
    line feed is an escape."""
    return with_option(CONTROL.sub(lambda found: ascii(found[0])[1:-1], text))


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
        encoded = msgspec.json.encode(content).decode()
        # In JSON they occur in strings only, where the escape means the same character.
        typer.echo(CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", encoded))
        return
    for line in lines:
        # Square brackets in a sentence belong to a name, and a number in it is no more than its other words.
        console.print(line, markup=not isinstance(line, str), emoji=False, highlight=False)


def fail_for(problems: Sequence[str]) -> None:
    """Prints these errors and exits with 1, if there are any."""
    for problem in problems:
        complain(problem)
    if problems:
        raise typer.Exit(1)


def complain(message: object) -> None:
    """Prints an error on standard error."""
    notes.print(str(message), style="red", markup=False, highlight=False)


def show_uncaught(kind: type[BaseException], error: BaseException, where: TracebackType | None) -> None:
    """Prints the traceback of an error of this program, which may quote a text of a database; a
    `sys.excepthook`."""
    sys.stderr.write(visible("".join(traceback.format_exception(kind, error, where))))

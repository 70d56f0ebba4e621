"""Where a command's answer goes: a table for a person, one JSON object for a script."""

from typing import Annotated, Any

import msgspec
import typer

from ops_pipeline.cli import tables

Json = Annotated[bool, typer.Option("--json", help="One JSON object on standard output, for scripts.")]

console = tables.console()
notes = tables.console(stderr=True)


def print_json(content: Any) -> None:
    """The one object on standard output."""
    typer.echo(msgspec.json.encode(content).decode())


def complain(message: object) -> None:
    """What went wrong, on standard error."""
    notes.print(str(message), style="red", markup=False, highlight=False)

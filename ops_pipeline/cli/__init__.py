"""`opsctl`: maintenance from a terminal or a script. Each command, or group of commands, has a file."""

import os
import signal
import sys
from typing import Annotated

import typer

from ops_pipeline import __version__
from ops_pipeline.cli.commands import Commands
from ops_pipeline.cli.output import INTERRUPTED, answer, complain, show_uncaught

app = typer.Typer(cls=Commands, no_args_is_help=True, pretty_exceptions_enable=False)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"opsctl {__version__}")
        raise typer.Exit


@app.callback()
def options(
    context: typer.Context,
    embedded_server: Annotated[
        bool,
        typer.Option(
            "--embedded",
            help="Use the embedded PostgreSQL of demo and up. Refused if OPS_DATABASE_URL is set.",
        ),
    ] = False,
    version: Annotated[  # noqa: ARG001 - its callback answers and ends the program
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Retention, orphan cleanup, VACUUM, archive and audit log for PostgreSQL, run by Dagster.

    Exit codes: 0 done, 1 failed, 2 wrong usage, 3 needs approval, 130 interrupted.
    """
    if embedded_server:
        from ops_pipeline import settings  # noqa: PLC0415 - `--help` needs no database
        from ops_pipeline.postgres import embedded  # noqa: PLC0415

        started = context.with_resource(embedded.started(settings.load()))
        os.environ.update(settings.environment(started))


def main() -> None:
    """The program: exit 0 done, 1 failed, 2 wrong usage, 3 needs approval, 130 interrupted."""
    # SIGTERM cleans up as Ctrl-C does. A script's background job starts with SIGINT ignored, and its child
    # processes inherit that; Dagster would then ignore SIGTERM too.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    # Python processes started from here import this installation, never a file of the current folder.
    os.environ["PYTHONSAFEPATH"] = "1"
    sys.excepthook = show_uncaught
    try:
        app()
    except Exception as error:
        _end(error)
    except SystemExit as ended:
        if ended.code == INTERRUPTED:  # Typer's own too, which prints nothing
            complain("Interrupted. What was committed is kept. To continue: run the same command again.")
        raise


def _end(error: Exception) -> None:
    """Prints the error, for a script as its one JSON object, and exits; raises it again if it is not one that
    a person can do something about."""
    from ops_pipeline.cli import errors  # noqa: PLC0415 - loads what can raise them, Arrow too

    code = errors.exit_code(error)
    if code is None:
        raise error
    if "--json" in sys.argv:
        answer({"error": str(error)}, as_json=True)
    complain(error)
    sys.exit(code)

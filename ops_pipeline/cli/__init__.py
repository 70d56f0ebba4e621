"""`opsctl`: maintenance from a terminal or a script. Each command, or group of commands, has a file."""

import os
import signal
import sys
from collections.abc import Callable
from typing import Annotated

import psycopg
import typer

from ops_pipeline import __version__, settings
from ops_pipeline.access.keys import KeyRefusedError
from ops_pipeline.archive.arrow_session import ArrowSessionBusyError
from ops_pipeline.archive.staging import DamagedError
from ops_pipeline.archive.target import RestoreRefusedError
from ops_pipeline.archive.write import ArchiveError
from ops_pipeline.cli import (
    adopt,
    approve,
    archive,
    doctor,
    hold,
    imports,
    keys,
    migrate,
    pause,
    plan,
    run,
    track,
    up,
)
from ops_pipeline.cli.output import answer, complain
from ops_pipeline.cli.up import demo
from ops_pipeline.cli.up.sample_application import DemoRefusedError
from ops_pipeline.holds import holds
from ops_pipeline.maintenance.guard import approvals
from ops_pipeline.maintenance.orphans.triggers import TrackRefusedError
from ops_pipeline.partitions.adopt.adoption import AdoptionError
from ops_pipeline.partitions.adopt.obstacles import AdoptionRefusedError
from ops_pipeline.partitions.default_rows import DefaultRowsRemainError
from ops_pipeline.pauses.pauses import PauseRefusedError
from ops_pipeline.policies.file import PolicyError
from ops_pipeline.postgres import embedded
from ops_pipeline.postgres.condition import PredicateError
from ops_pipeline.postgres.connection import DatabaseUnavailableError
from ops_pipeline.postgres.locks import LockedError
from ops_pipeline.postgres.migrations import TakenError
from ops_pipeline.postgres.rights import MissingRightError
from ops_pipeline.storage.storage import StorageError, StorageUrlError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
COMMANDS: tuple[Callable[..., None], ...] = (
    plan.plan,
    doctor.doctor,
    run.run,
    approve.approve,
    pause.pause,
    pause.resume,
    migrate.migrate,
    adopt.adopt,
    up.up,
    demo.demo,
)
GROUPS = {
    "archive": archive.app,
    "hold": hold.app,
    "import": imports.app,
    "keys": keys.app,
    "track": track.app,
}
for command in COMMANDS:
    app.command()(command)
for name, group in GROUPS.items():
    app.add_typer(group, name=name)

WRONG_INPUT = (
    settings.SettingsError,
    PolicyError,
    KeyRefusedError,
    AdoptionRefusedError,
    holds.HoldRefusedError,
    StorageUrlError,
    PredicateError,
    approvals.ApprovalRefusedError,
    TrackRefusedError,
    PauseRefusedError,
)
FAILED = (
    embedded.EmbeddedServerError,
    DatabaseUnavailableError,
    TakenError,
    MissingRightError,
    DemoRefusedError,
    AdoptionError,
    LockedError,
    ArchiveError,
    DamagedError,
    RestoreRefusedError,
    StorageError,
    ArrowSessionBusyError,
    DefaultRowsRemainError,
    psycopg.Error,
)


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
        started = context.with_resource(embedded.started(settings.load()))
        os.environ.update(settings.environment(started))


INTERRUPTED = 130
"""The exit code of a program that Ctrl-C ended, by the shells' convention. Typer prints nothing then."""


def main() -> None:
    """The program: exit 0 done, 1 failed, 2 wrong usage, 3 needs approval, 130 interrupted."""
    # SIGTERM cleans up as Ctrl-C does. A script's background job starts with SIGINT ignored, and its child
    # processes inherit that; Dagster would then ignore SIGTERM too.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    try:
        app()
    except WRONG_INPUT as error:
        _end(error, 2)
    except FAILED as error:
        _end(error, 1)
    except SystemExit as ended:
        if ended.code == INTERRUPTED:
            complain("Interrupted. What was committed is kept. To continue: run the same command again.")
        raise


def _end(error: Exception, code: int) -> None:
    """Prints the error, for a script as its one JSON object, and exits."""
    if "--json" in sys.argv:
        answer({"error": str(error)}, as_json=True)
    complain(error)
    sys.exit(code)

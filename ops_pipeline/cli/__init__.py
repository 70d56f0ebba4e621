"""`opsctl`: maintenance from a terminal or a script. A group of commands a file."""

import signal
import sys

import psycopg
import typer

from ops_pipeline import database, embedded, keys, settings
from ops_pipeline import demo as sample
from ops_pipeline.cli import adopt, api_keys, approve, archive, hold, imports, night, start, track
from ops_pipeline.cli.output import complain
from ops_pipeline.maintenance import adopt as adoptions
from ops_pipeline.maintenance import approvals, holds, partitions
from ops_pipeline.maintenance.archive.staging import DamagedError
from ops_pipeline.maintenance.archive.storage import StorageError, StorageUrlError
from ops_pipeline.maintenance.archive.target import RestoreRefusedError
from ops_pipeline.maintenance.archive.worker import WorkerBusyError
from ops_pipeline.maintenance.archive.writer import ArchiveError
from ops_pipeline.maintenance.orphans.triggers import TrackRefusedError
from ops_pipeline.maintenance.predicate import PredicateError
from ops_pipeline.policy_file import PolicyError

app = typer.Typer(
    help="Keeps a PostgreSQL application clean, accountable and observable.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(night.app)
app.add_typer(start.app)
app.add_typer(adopt.app)
app.add_typer(imports.app, name="import")
app.add_typer(api_keys.app, name="keys")
app.add_typer(hold.app, name="hold")
app.add_typer(archive.app, name="archive")
app.add_typer(approve.app)
app.add_typer(track.app, name="track")

WRONG_INPUT = (
    settings.SettingsError,
    PolicyError,
    keys.KeyRefusedError,
    adoptions.AdoptionRefusedError,
    holds.HoldRefusedError,
    StorageUrlError,
    PredicateError,
    approvals.ApprovalRefusedError,
    TrackRefusedError,
)
FAILED = (
    embedded.EmbeddedServerError,
    database.DatabaseUnavailableError,
    sample.DemoRefusedError,
    adoptions.AdoptionError,
    partitions.LockedError,
    ArchiveError,
    DamagedError,
    RestoreRefusedError,
    StorageError,
    WorkerBusyError,
    partitions.StraysStayError,
    psycopg.Error,
)


INTERRUPTED = 130
"""With which a program that Ctrl-C ended exits by the shells' convention; typer ends so, without a word."""


def main() -> None:
    """The program: exit 0 done, 1 failed, 2 wrong usage, 130 interrupted."""
    # A `kill` cleans up as Ctrl-C does. A script's background job starts with SIGINT ignored, and so
    # would every process below it, which Dagster takes as leave to ignore SIGTERM too.
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, signal.default_int_handler)
    try:
        app()
    except WRONG_INPUT as error:
        complain(error)
        sys.exit(2)
    except FAILED as error:
        complain(error)
        sys.exit(1)
    except SystemExit as ended:
        if ended.code == INTERRUPTED:
            complain("Interrupted. What was committed stays done; the next run goes on from there.")
        raise

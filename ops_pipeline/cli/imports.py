"""`opsctl import`: audit events from elsewhere."""

from pathlib import Path
from typing import Annotated

import typer

from ops_pipeline import database, embedded, settings, terminal
from ops_pipeline.audit import cloudtrail
from ops_pipeline.cli.opened import url_of
from ops_pipeline.cli.output import Json, console, notes, print_json

app = typer.Typer(help="Bring audit events in from elsewhere.", no_args_is_help=True)

CLOUDTRAIL = Path("../shared/data/cloudtrail")
"""Where a checkout may have real events beside it."""


@app.command("cloudtrail")
def import_cloudtrail(
    paths: Annotated[list[Path], typer.Argument(help="CloudTrail files (.json, .json.gz) or folders.")],
    as_json: Json = False,
) -> None:
    """Store CloudTrail events in the audit log. Importing twice changes nothing."""
    with embedded.resolved(settings.load()) as resolved:
        database.migrate(url_of(resolved))
        report = import_deliveries(resolved, paths)
    if as_json:
        print_json(report)
    else:
        terminal.show_import(console, report)
    raise typer.Exit(1 if report.rejected else 0)


def import_deliveries(resolved: settings.Settings, paths: list[Path]) -> cloudtrail.ImportReport:
    """Stores those deliveries, with a bar on standard error."""
    with (
        database.connect(url_of(resolved), "opsctl import") as connection,
        terminal.import_progress(notes) as progress,
    ):
        return cloudtrail.import_files(connection, paths, report_progress=progress)

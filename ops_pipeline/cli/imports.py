"""`opsctl import`: audit events from elsewhere."""

from pathlib import Path
from typing import Annotated

import typer

from ops_pipeline import settings
from ops_pipeline.audit.importers import cloudtrail
from ops_pipeline.cli import tables
from ops_pipeline.cli.context import url_of
from ops_pipeline.cli.output import Json, console, notes, print_json
from ops_pipeline.postgres import embedded
from ops_pipeline.postgres.connection import connect
from ops_pipeline.postgres.migrations import migrate

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
        migrate(url_of(resolved))
        report = import_deliveries(resolved, paths)
    if as_json:
        print_json(report)
    else:
        tables.show_import(console, report)
    raise typer.Exit(1 if report.rejected else 0)


def import_deliveries(resolved: settings.Settings, paths: list[Path]) -> cloudtrail.ImportReport:
    """Stores those deliveries, with a bar on standard error."""
    with (
        connect(url_of(resolved), "opsctl import") as connection,
        tables.import_progress(notes) as progress,
    ):
        return cloudtrail.import_files(connection, paths, report_progress=progress)

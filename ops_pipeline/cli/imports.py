"""`opsctl import`: stores audit events from other systems, such as AWS CloudTrail."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from ops_pipeline import settings
from ops_pipeline.audit.importers import cloudtrail
from ops_pipeline.audit.redact import redactor
from ops_pipeline.cli.context import connected_to_own
from ops_pipeline.cli.output import Json, answer, notes
from ops_pipeline.postgres import embedded
from ops_pipeline.postgres.ready import refuse_unready
from ops_pipeline.postgres.rights import explained

app = typer.Typer(help="Import audit events from other systems.", no_args_is_help=True)


@app.command("cloudtrail")
def import_cloudtrail(
    paths: Annotated[list[Path], typer.Argument(help="CloudTrail files (.json, .json.gz) or folders.")],
    as_json: Json = False,
) -> None:
    """Store CloudTrail events in the audit log of OPS_DATABASE_URL.

    Importing a file twice changes nothing.
    """
    with embedded.resolved(settings.load()) as resolved:
        with connected_to_own(resolved, "opsctl import") as connection, explained(connection):
            refuse_unready(connection)
        report = import_deliveries(resolved, paths)
    answer(report, *_sentences(report), as_json=as_json)
    raise typer.Exit(1 if report.rejected else 0)


def import_deliveries(resolved: settings.Settings, paths: list[Path]) -> cloudtrail.ImportReport:
    """Stores the events of these files, with a progress bar on standard error."""
    with (
        connected_to_own(resolved, "opsctl import") as connection,
        explained(connection),
        _progress() as progress,
    ):
        return cloudtrail.import_files(
            connection,
            paths,
            report_progress=progress,
            secrets=redactor(resolved.audit_redacted_fields),
        )


def _sentences(report: cloudtrail.ImportReport) -> Iterator[str]:
    yield (
        f"read {report.read:,}   stored {report.stored:,}   duplicate {report.duplicate:,}   "
        f"rejected {report.rejected:,}"
    )
    for rejection in report.rejections:
        record = "" if rejection.record is None else f", record {rejection.record}"
        yield f"rejected {rejection.file}{record}: {rejection.reason}"


@contextmanager
def _progress() -> Iterator[Callable[[cloudtrail.ImportProgress], None]]:
    """A progress bar over the files of an import, with the numbers of stored and duplicate events."""
    columns = (
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TextColumn("files   {task.fields[stored]:,} stored   {task.fields[duplicate]:,} duplicate"),
    )
    with Progress(*columns, console=notes, transient=True, disable=not notes.is_terminal) as bar:
        task = bar.add_task("import", total=None, stored=0, duplicate=0)

        def show(progress: cloudtrail.ImportProgress) -> None:
            bar.update(
                task,
                completed=progress.done,
                total=progress.total,
                stored=progress.stored,
                duplicate=progress.duplicate,
            )

        yield show

"""`opsctl archive`: lists, verifies and restores archived rows."""

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from typing import Annotated, Any

import typer
from rich.console import RenderableType

from ops_pipeline import settings
from ops_pipeline.archive import manifest
from ops_pipeline.archive.archive import Archive
from ops_pipeline.archive.manifest import ArchivedFile
from ops_pipeline.archive.restore import REASON, Restored, restore
from ops_pipeline.archive.verify import Verified, verify
from ops_pipeline.archive.write_off import write_off
from ops_pipeline.audit.person import person
from ops_pipeline.cli import tables
from ops_pipeline.cli.context import connected_to, connected_to_one
from ops_pipeline.cli.options import By, Database, OneDatabase
from ops_pipeline.cli.output import Json, answer, fail_for, notes
from ops_pipeline.counted import counted
from ops_pipeline.opsctl import opsctl
from ops_pipeline.postgres.connection import Connection, database_of
from ops_pipeline.postgres.relation import TableName
from ops_pipeline.postgres.rights import explained
from ops_pipeline.storage import location
from ops_pipeline.storage.storage import Storage, StorageError

app = typer.Typer(help="List, verify and restore archived rows.", no_args_is_help=True)

Reason = Annotated[
    str | None,
    typer.Option(help="Why, such as a ticket; recorded in the audit log (restore: also in its hold)."),
]


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f'"{text}" is not a day; write it as YYYY-MM-DD') from None


AGREE = "All files match what the database recorded: size, SHA-256 and row count."
AGREE_OF_SAMPLE = "These files match what the database recorded. Without --sample all files are read."


@app.command("list")
def list_archives(
    table: Annotated[str | None, typer.Option(help="A table, or schema.table. Unset: all tables.")] = None,
    chosen: Database = None,
    as_json: Json = False,
) -> None:
    """List the archived files of each database by table and day. Times and days are in UTC."""
    files: list[tuple[str, ArchivedFile]] = []
    away: list[str] = []
    with _each(chosen, away, writes=False) as databases:
        for database, connection, _ in databases:
            with explained(connection):
                files += [
                    (database, file)
                    for file in manifest.all_files(connection)
                    if table in {None, file.table_name, file.table}
                ]
    rows, size = sum(file.rows for _, file in files), sum(file.bytes for _, file in files)
    total = f"{counted(rows, 'row')} in {counted(len(files), 'file')}, {counted(size, 'byte')}"
    lines: list[RenderableType] = [] if away and not files else [tables.archives_table(files), total]
    answer(
        {"archives": [{"database": name, **_as_json(file)} for name, file in files], "unavailable": away},
        *lines,
        as_json=as_json,
    )
    fail_for(away)


@app.command("verify")
def verify_archives(
    sample: Annotated[
        int | None, typer.Option(min=1, help="How many files to read, chosen at random. Unset: every file.")
    ] = None,
    by: By = None,
    reason: Reason = None,
    chosen: Database = None,
    as_json: Json = False,
) -> None:
    """Read archived files again and compare them with what each database recorded.

    Compares size, SHA-256 and row count. Without --sample, it also reports
    files that are not recorded. Exits with 1 if there is a problem.
    """
    verified: dict[str, Verified] = {}
    away: list[str] = []
    with _each(chosen, away) as databases, _progress() as report:
        for database, connection, archive in databases:
            try:
                with explained(connection):
                    verified[database] = verify(
                        connection, archive, sample=sample, by=person(by), reason=reason, report=report
                    )
            except StorageError as error:
                away.append(f"{database}: {error}")
    agree = AGREE if sample is None else AGREE_OF_SAMPLE
    answer(
        {
            "databases": [{"database": name, **dataclasses.asdict(of)} for name, of in verified.items()],
            "unavailable": away,
        },
        *(
            f"{name}: read {counted(of.files, 'file')} again, {counted(of.bytes, 'byte')}."
            + ("" if of.problems else f" {agree}")
            for name, of in verified.items()
        ),
        as_json=as_json,
    )
    problems = [f"{name}: {problem}" for name, of in verified.items() for problem in of.problems]
    fail_for([*problems, *away])


@app.command("restore")
def restore_rows(  # noqa: PLR0913, PLR0917 - each is one option of the command
    table: Annotated[str, typer.Option(help="The table the rows were deleted from, or schema.table.")],
    first: Annotated[
        date | None,
        typer.Option("--from", parser=_day, metavar="YYYY-MM-DD", help="The first day. Unset: the oldest."),
    ] = None,
    last: Annotated[
        date | None,
        typer.Option(
            "--to", parser=_day, metavar="YYYY-MM-DD", help="The last day, inclusive. Unset: the newest."
        ),
    ] = None,
    into: Annotated[
        str | None, typer.Option(help="Another table, created if it is missing. Unset: the original table.")
    ] = None,
    triggers: Annotated[
        bool, typer.Option("--triggers", help="Fire the table's triggers for the restored rows.")
    ] = False,
    by: By = None,
    reason: Reason = None,
    chosen: OneDatabase = None,
    as_json: Json = False,
) -> None:
    """Restore the archived rows of these days (UTC), exactly as the files have them.

    All rows are restored, or none. In the original table a hold protects
    them from all policies; once it is released, policies delete them again.

    The table's triggers do not fire, because they fired when the rows were
    first inserted. They are disabled during the restore, which requires the
    table's owner and blocks other writers; with --triggers they fire, and
    neither applies.
    """
    if first is not None and last is not None and first > last:
        raise typer.BadParameter(f"{first:%Y-%m-%d} is after --to {last:%Y-%m-%d}", param_hint="--from")
    storage = _storage()
    with connected_to_one(chosen, "opsctl archive") as connection:
        database = database_of(connection)
        restored = restore(
            connection, Archive(storage, connection), table,
            first=first, last=last, into=into, triggers=triggers, by=person(by), reason=reason or REASON,
        )  # fmt: skip
    answer(restored, *_sentences(restored, database), as_json=as_json)


@app.command("write-off")
def write_off_files(
    paths: Annotated[list[str], typer.Argument(help="The paths of the files, as `archive list` shows them.")],
    reason: Annotated[str, typer.Option(help="Why they cannot be put back, for the audit log.")],
    by: By = None,
    chosen: OneDatabase = None,
    as_json: Json = False,
) -> None:
    """Write off files that are lost and of which no copy exists.

    Their rows can no longer be restored. The audit log keeps what was
    recorded of each file; runs no longer fail because of them. A file that
    is intact is refused. Requires the owner of our tables.
    """
    storage = _storage()
    with connected_to_one(chosen, "opsctl archive") as connection:
        files = write_off(connection, Archive(storage, connection), paths, by=person(by), reason=reason)
    rows = counted(sum(file.rows for file in files), "row")
    answer(
        {"written_off": list(map(_as_json, files))},
        f"Wrote off {counted(len(files), 'file')}; {rows} can no longer be restored.",
        as_json=as_json,
    )


@contextmanager
def _each(
    chosen: str | None, away: list[str], *, writes: bool = True
) -> Iterator[Iterator[tuple[str, Connection, Archive]]]:
    """The databases, each with a connection and its archive; see `connected_to`."""
    storage = _storage()
    with connected_to(chosen, "opsctl archive", away, writes=writes) as connections:
        yield (
            (database.name, connection, Archive(storage, connection)) for database, connection in connections
        )


def _storage() -> Storage:
    loaded = settings.load()
    settings.require_database(loaded)
    return location.storage(loaded.archive_url)


@contextmanager
def _progress() -> Iterator[Callable[[int, int], None]]:
    with notes.status("reading the archive") as status:
        yield lambda done, total: status.update(f"{done:,} of {total:,} files read again")


def _as_json(file: ArchivedFile) -> dict[str, Any]:
    shown = dataclasses.asdict(file)
    del shown["columns"], shown["temporary_path"], shown["table_schema"], shown["table_name"]
    return {"table": str(TableName(file.table_schema, file.table_name)), **shown, "state": file.state}


def _sentences(restored: Restored, database: str | None) -> Iterator[str]:
    days = "" if restored.first is None else f" of {restored.first} to {restored.last}"
    rows = counted(restored.rows, "row")
    yield f"Restored {rows}{days} into {restored.into}, exactly as the files have them."
    for missing in restored.missing_parents:
        refer = "refers" if missing.rows == 1 else "refer"
        yield (
            f"{missing.rows:,} of them {refer} by {missing.key} to rows of {missing.parent} that no longer "
            f"exist: {missing.on_delete} was applied to {', '.join(missing.columns)}."
        )
    if restored.triggers_off:
        yield f"Triggers that did not fire for them: {', '.join(restored.triggers_off)}."
    if restored.sequences:
        yield f"Sequences advanced past the restored rows: {', '.join(restored.sequences)}."
    if restored.skipped_files:
        yield f"Skipped {counted(restored.skipped_files, 'file')}, whose rows had been restored before."
    if restored.hold is not None:
        yield (
            f"Hold {restored.hold} keeps policies from deleting them. To release it: "
            f"{opsctl('hold', 'release', restored.hold, database=database)}"
        )

"""`opsctl archive`: what was removed and kept, and the way back."""

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Annotated, Any

import typer

from ops_pipeline import settings
from ops_pipeline.archive import manifest
from ops_pipeline.archive.archive import Archive
from ops_pipeline.archive.manifest import ArchivedFile
from ops_pipeline.archive.restore import Restored, restore
from ops_pipeline.archive.verify import Verified, verify
from ops_pipeline.audit.person import person
from ops_pipeline.cli import tables
from ops_pipeline.cli.context import connected_to
from ops_pipeline.cli.hold import By, Database
from ops_pipeline.cli.output import Json, complain, console, notes, print_json
from ops_pipeline.postgres.connection import Connection, DatabaseUnavailableError
from ops_pipeline.postgres.relation import TableName
from ops_pipeline.storage import location

app = typer.Typer(help="Rows that were removed and kept.", no_args_is_help=True)

DAY = ["%Y-%m-%d"]


@app.command("list")
def list_archives(
    table: Annotated[
        str | None, typer.Option(help="Only this table's, or schema.table's. Unset: all tables'.")
    ] = None,
    chosen: Database = None,
    as_json: Json = False,
) -> None:
    """Show the files of archived rows, by table and day. Every time and day is in UTC."""
    with _connected(chosen) as (connection, _):
        found = manifest.all_files(connection)
    wanted = [each for each in found if table in {None, each.table_name, each.table}]
    if as_json:
        print_json({"archives": [_shown(each) for each in wanted]})
    else:
        console.print(tables.archives_table(wanted))
        rows, size = sum(each.rows for each in wanted), sum(each.bytes for each in wanted)
        console.print(f"{rows:,} rows in {len(wanted):,} files, {size:,} bytes")


@app.command("verify")
def verify_archives(
    sample: Annotated[
        int | None, typer.Option(min=1, help="So many files, chosen at random. Unset: every file.")
    ] = None,
    by: By = None,
    chosen: Database = None,
    as_json: Json = False,
) -> None:
    """Read files of the archive again and compare them with what the database recorded of them.

    Compared are size, SHA-256 and row count. Without --sample, files that are not recorded are reported as
    well. Exit 1 when anything is wrong.
    """
    with _connected(chosen) as (connection, archive), _progress() as report:
        verified = verify(connection, archive, sample=sample, by=by or person(), report=report)
    if as_json:
        print_json(verified)
    else:
        _tell(verified)
    raise typer.Exit(1 if verified.problems else 0)


@app.command("restore")
def restore_rows(
    table: Annotated[str, typer.Option(help="The table the rows were removed from, or schema.table.")],
    first: Annotated[
        datetime | None, typer.Option("--from", formats=DAY, help="The first day. Unset: the oldest.")
    ] = None,
    last: Annotated[
        datetime | None,
        typer.Option("--to", formats=DAY, help="The last day, itself included. Unset: the newest."),
    ] = None,
    into: Annotated[
        str | None, typer.Option(help="Another table; made when it does not exist. Unset: where they were.")
    ] = None,
    by: By = None,
    chosen: Database = None,
    as_json: Json = False,
) -> None:
    """Put archived rows of these days (UTC) back, every bit as the files have it.

    All come back, or none. In their own table a hold keeps them from the next night; release it, and they
    go again.
    """
    with _connected(chosen) as (connection, archive):
        restored = restore(
            connection, archive, table,
            first=first.date() if first else None, last=last.date() if last else None,
            into=into, by=by or person(),
        )  # fmt: skip
    if as_json:
        print_json(restored)
    else:
        _say(restored)


@contextmanager
def _connected(chosen: str | None) -> Iterator[tuple[Connection, Archive]]:
    away: list[str] = []
    with connected_to(chosen, "opsctl archive", away, most=1) as connections:
        storage = location.storage(settings.load().archive_url)
        for _, connection in connections:
            yield connection, Archive(storage, connection)
    if away:
        raise DatabaseUnavailableError("\n".join(away))


@contextmanager
def _progress() -> Iterator[Callable[[int, int], None]]:
    with notes.status("reading the archive") as status:
        yield lambda done, every: status.update(f"{done:,} of {every:,} files read again")


def _shown(part: ArchivedFile) -> dict[str, Any]:
    shown = dataclasses.asdict(part)
    del shown["columns"], shown["temporary_path"], shown["table_schema"], shown["table_name"]
    return {"table": str(TableName(part.table_schema, part.table_name)), **shown, "state": part.state}


def _tell(verified: Verified) -> None:
    console.print(f"{verified.files:,} files, {verified.bytes:,} bytes read again")
    for problem in verified.problems:
        complain(problem)
    if not verified.problems:
        console.print("All of them agree with what the database recorded: size, SHA-256 and row count.")


def _say(restored: Restored) -> None:
    days = "" if restored.first is None else f" of {restored.first} to {restored.last}"
    console.print(
        f"{restored.rows:,} rows{days} are in {restored.into} again, as the files have them.", markup=False
    )
    if restored.passed_over:
        console.print(
            f"{restored.passed_over:,} files were passed over: their rows had been restored before."
        )
    if restored.hold is not None:
        console.print(
            f"Hold {restored.hold} keeps them. To let them go again: opsctl hold release {restored.hold}"
        )

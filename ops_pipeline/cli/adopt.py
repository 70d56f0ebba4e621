"""`opsctl adopt`: a table that grew ordinary becomes partitioned, online."""

from typing import Annotated

import typer

from ops_pipeline import database, embedded, settings
from ops_pipeline.cli.opened import url_of
from ops_pipeline.cli.output import Json, console, notes, print_json
from ops_pipeline.maintenance import adopt as adoptions

app = typer.Typer()

OWN = ("public", "audit_logs")


@app.command()
def adopt(
    table: Annotated[str, typer.Argument(help="The table's name, or schema.table.")],
    column: Annotated[
        str, typer.Option(help="The column of time that says to which day a row belongs.")
    ] = "created_at",
    time_zone: Annotated[
        str | None,
        typer.Option(
            help="Make a timestamp column a timestamptz, its times read in this zone. "
            "Unset: the column stays as it is; of audit_logs it is read as UTC."
        ),
    ] = None,
    finish: Annotated[
        bool, typer.Option("--finish", help="Drop what the table was before it was adopted.")
    ] = False,
    abort: Annotated[
        bool, typer.Option("--abort", help="Undo an adoption that has not come to its end.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Turn an ordinary table into one that is partitioned by day, while its application goes on writing.

    Killed or stopped at any moment, the same command goes on. The old table is kept until --finish.
    """
    if finish and abort:
        raise typer.BadParameter("--finish and --abort exclude each other")
    schema, _, name = table.rpartition(".")
    schema = schema or "public"
    zone = time_zone or ("UTC" if (schema, name) == OWN else None)
    with embedded.resolved(settings.load()) as resolved:
        database.migrate(url_of(resolved), only=adoptions.MIGRATION)
        with (
            database.connect(url_of(resolved), "opsctl adopt") as connection,
            database.cancel_on_interrupt(connection),
        ):
            if finish or abort:
                end = adoptions.finish if finish else adoptions.abort
                ended = end(connection, schema, name)
                _say(as_json, {"table": str(ended), "state": ended.state}, f"{ended}: {ended.state}.")
                return
            done = adoptions.adopt(
                connection, schema, name, column=column, time_zone=zone, report=notes.print
            )
    _say(
        as_json,
        {"table": done.table, "state": "swapped", "rows": done.rows, "kept": done.kept},
        f"{done.table} is partitioned by day of {done.column}: {done.rows:,} rows. What it was before is "
        f"kept as {done.kept}; drop that with: opsctl adopt {table} --finish",
    )


def _say(as_json: bool, content: dict[str, object], sentence: str) -> None:
    if as_json:
        print_json(content)
    else:
        console.print(sentence, markup=False, highlight=False)

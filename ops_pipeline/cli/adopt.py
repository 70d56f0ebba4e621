"""`opsctl adopt`: turns an ordinary table into a partitioned one, online."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from ops_pipeline import settings
from ops_pipeline.cli.context import chosen_databases, connected_to_own, refuse_several, url_of
from ops_pipeline.cli.output import Json, answer, notes
from ops_pipeline.counted import counted
from ops_pipeline.credentials import without_source
from ops_pipeline.maintenance import kinds
from ops_pipeline.opsctl import opsctl
from ops_pipeline.partitions.adopt.adopt import adopt_table
from ops_pipeline.partitions.adopt.adoption import MIGRATION, Adoption
from ops_pipeline.partitions.adopt.finish import abort_adoption, finish_adoption
from ops_pipeline.partitions.adopt.obstacles import table_to_adopt
from ops_pipeline.pauses.watch import PauseWatch
from ops_pipeline.policies.connection import connect_to
from ops_pipeline.policies.model import Database
from ops_pipeline.policies.values import column_name
from ops_pipeline.postgres import embedded
from ops_pipeline.postgres.connection import Connection, cancel_on_interrupt
from ops_pipeline.postgres.migrations import check_audit_logs, migrate
from ops_pipeline.postgres.ready import refuse_unready
from ops_pipeline.postgres.relation import TableName, audit_logs
from ops_pipeline.postgres.rights import explained

AdoptDatabase = Annotated[
    str | None,
    typer.Option(
        "--database",
        help="A database of policies.yaml. Required where OPS_DATABASE_URL is one of several. Unset: the "
        "database of OPS_DATABASE_URL.",
    ),
]


def adopt(
    table: Annotated[str, typer.Argument(help="The table's name, or schema.table.")],
    column: Annotated[str, typer.Option(help="The time column to partition by.")] = "created_at",
    time_zone: Annotated[
        str | None,
        typer.Option(
            help="Convert a timestamp column to timestamptz, reading its times in this zone. "
            "Unset: the type is kept; the column of audit_logs is read as UTC."
        ),
    ] = None,
    finish: Annotated[bool, typer.Option("--finish", help="Drop the old table, which was kept.")] = False,
    abort: Annotated[
        bool, typer.Option("--abort", help="Undo an adoption whose tables were not swapped yet.")
    ] = False,
    chosen: AdoptDatabase = None,
    as_json: Json = False,
) -> None:
    """Partition an ordinary table by day while the application continues to write.

    If it is killed or stopped, run the same command again to continue. The
    old table is kept until --finish.
    """
    if finish and abort:
        raise typer.BadParameter("--finish and --abort cannot be used together")
    loaded = settings.load()
    try:
        wanted, wanted_column = TableName.parse(table), column_name(column)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    is_audit_log = wanted == audit_logs()
    zone = time_zone or ("UTC" if is_audit_log else None)
    with embedded.resolved(loaded) as resolved:
        database = _database(resolved, chosen)
        name = database.name if database else None
        if is_audit_log and not (finish or abort):
            with _connected(resolved, database) as connection:
                check_audit_logs(connection, adopting=True)
        if is_audit_log:  # it may have to be adopted before the other migrations can be applied
            url = database.url(settings.environment(resolved)) if database else url_of(resolved)
            migrate(url, only={MIGRATION})
        with (
            _connected(resolved, database) as connection,
            cancel_on_interrupt(connection),
            explained(connection),
        ):
            if not is_audit_log:
                refuse_unready(connection)
            if finish or abort:
                end = finish_adoption if finish else abort_adoption
                ended = end(connection, wanted)
                content = {"table": str(ended), "state": ended.state}
                answer(content, _ended(ended, dropped=finish), as_json=as_json)
                return
            relation = table_to_adopt(connection, wanted)
            adopted = adopt_table(
                connection,
                relation,
                column=wanted_column,
                time_zone=zone,
                report=notes.print,
                stop=PauseWatch(connection, name).reason,
            )
    to_finish = opsctl("adopt", table, "--finish", database=name)
    answer(
        {"table": adopted.table, "state": "swapped", "rows": adopted.rows, "kept": adopted.kept},
        f"{adopted.table} is partitioned by day of {adopted.column}: {counted(adopted.rows, 'row')}. "
        f"The old table is kept as {adopted.kept}. To drop it: {to_finish}",
        as_json=as_json,
    )


def _database(resolved: settings.Settings, chosen: str | None) -> Database | None:
    """The database of the policies that is chosen, or whose URL is OPS_DATABASE_URL; None: this one is not
    among them. Raises PolicyError, also where it would be one of several that is not named."""
    if chosen is None and not resolved.policies.exists():
        return None
    policies = kinds.load(resolved.policies)
    databases = chosen_databases(resolved, policies, chosen)
    if chosen is not None:
        return databases[0]
    environment = settings.environment(resolved)
    own_url = without_source(url_of(resolved))
    own = [database for database in databases if without_source(database.url(environment)) == own_url]
    if own:
        refuse_several(policies)
    return own[0] if own else None


@contextmanager
def _connected(resolved: settings.Settings, database: Database | None) -> Iterator[Connection]:
    with (
        connect_to(database, settings.environment(resolved), "opsctl adopt")
        if database
        else connected_to_own(resolved, "opsctl adopt")
    ) as connection:
        yield connection


def _ended(adoption: Adoption, *, dropped: bool) -> str:
    if dropped:
        return f"The adoption of {adoption} is finished: its old table was dropped."
    return f"The adoption of {adoption} was undone. The table itself was not changed."

"""`opsctl hold`: protects rows from all policies (legal hold)."""

from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from ops_pipeline.audit import times
from ops_pipeline.audit.person import person
from ops_pipeline.cli import tables
from ops_pipeline.cli.context import connected_to, connected_to_one
from ops_pipeline.cli.options import By, Database, OneDatabase
from ops_pipeline.cli.output import Json, answer, fail_for
from ops_pipeline.counted import counted
from ops_pipeline.holds import holds
from ops_pipeline.postgres.rights import explained

app = typer.Typer(help="Protect rows from all policies (legal hold).", no_args_is_help=True)

COUNT_SECONDS = 10.0

HoldId = Annotated[int, typer.Argument(metavar="ID", help="The hold's id, from `opsctl hold list`.")]


@app.command("add")
def add_hold(
    table: Annotated[str, typer.Option(help="The table, or schema.table.")],
    where: Annotated[
        str,
        typer.Option(
            help="Which rows, such as: tenant_id = 7 AND created_at >= 2026-01-01 AND created_at < 2026-02-01"
        ),
    ],
    reason: Annotated[str, typer.Option(help="Why the rows are on hold.")],
    owner: Annotated[str, typer.Option(help="Whom to ask before it is released.")],
    until: Annotated[
        str | None, typer.Option(help="When the hold ends: 90d, 12h or 2027-01-01. Unset: when released.")
    ] = None,
    by: By = None,
    chosen: OneDatabase = None,
    as_json: Json = False,
) -> None:
    """Protect matching rows, present and future, from all policies.

    Waits up to 30 seconds for batches under way. Once it has returned, no
    policy deletes these rows.
    """
    with connected_to_one(chosen, "opsctl hold") as connection:
        hold = holds.add(
            connection, table, where,
            reason=reason, owner=owner, by=person(by), ends_at=_end(until),
        )  # fmt: skip
        rows = holds.covered(connection, hold, seconds=COUNT_SECONDS)
    end = f"until {hold.ends_at:%Y-%m-%d %H:%M} UTC" if hold.ends_at else "until it is released"
    _answer(hold, rows, f"Hold {hold.id} on {hold.table} where {hold.predicate}, {end}.", as_json=as_json)


@app.command("list")
def list_holds(chosen: Database = None, as_json: Json = False) -> None:
    """List all holds of each database, ended and released ones too, newest first."""
    all_holds: list[tuple[str, holds.Hold]] = []
    away: list[str] = []
    with connected_to(chosen, "opsctl hold", away, writes=False) as connections:
        for database, connection in connections:
            with explained(connection):
                all_holds += [(database.name, hold) for hold in holds.list_holds(connection)]
    problems = [
        f"{database}: {hold.problem}"
        for database, hold in all_holds
        if hold.problem and hold.state(datetime.now(UTC)) == "unclear"
    ]
    none = [] if away else ["No rows are on hold."]
    shown = [tables.holds_table(all_holds), *problems] if all_holds else none
    content = [{"database": database, **_as_json(hold)} for database, hold in all_holds]
    answer({"holds": content, "unavailable": away}, *shown, as_json=as_json)
    fail_for(away)


@app.command("confirm")
def confirm_hold(
    hold_id: HoldId,
    table: Annotated[
        str | None, typer.Option(help="The table to protect. Unset: the one that `hold list` shows.")
    ] = None,
    where: Annotated[
        str | None, typer.Option(help="Which rows to protect. Unset: those that `hold list` shows.")
    ] = None,
    by: By = None,
    chosen: OneDatabase = None,
    as_json: Json = False,
) -> None:
    """Confirm which rows a hold covers after its table or column was replaced."""
    with connected_to_one(chosen, "opsctl hold") as connection:
        hold = holds.confirm(connection, hold_id, by=person(by), table=table, where=where)
        rows = holds.covered(connection, hold, seconds=COUNT_SECONDS)
    _answer(hold, rows, f"Confirmed hold {hold.id} on {hold.table} where {hold.predicate}.", as_json=as_json)


@app.command("release")
def release_hold(
    hold_id: HoldId,
    by: By = None,
    chosen: OneDatabase = None,
    as_json: Json = False,
) -> None:
    """End a hold: policies may delete its rows again, unless another hold covers them."""
    with connected_to_one(chosen, "opsctl hold") as connection:
        hold = holds.release(connection, hold_id, by=person(by))
    released = f"Released hold {hold.id} on {hold.table} where {hold.predicate}."
    effect = "Policies may delete its rows again, unless another hold covers them."
    answer(_as_json(hold), released, effect, as_json=as_json)


def _answer(hold: holds.Hold, rows: int | None, sentence: str, *, as_json: bool) -> None:
    answer({**_as_json(hold), "rows": rows}, sentence, _coverage(rows), as_json=as_json)


def _end(until: str | None) -> datetime | None:
    try:
        return times.ahead(until, datetime.now(UTC)) if until else None
    except ValueError as error:
        raise holds.HoldRefusedError(f"until: {error}") from None


def _coverage(rows: int | None) -> str:
    if rows is None:
        return (
            f"Its rows were not counted: counting takes longer than {COUNT_SECONDS:.0f} s, or row security "
            "hides some from this user. They are protected all the same."
        )
    if rows == 0:
        return "It covers no row now, only future ones. Check that its table and --where are right."
    return f"It covers {counted(rows, 'row')} now."


def _as_json(hold: holds.Hold) -> dict[str, Any]:
    return {
        "id": hold.id,
        "table": hold.table,
        "where": str(hold.predicate),
        "reason": hold.reason,
        "owner": hold.owner,
        "state": hold.state(datetime.now(UTC)),
        "problem": hold.problem,
        "created_at": hold.created_at,
        "created_by": hold.created_by,
        "ends_at": hold.ends_at,
        "released_at": hold.released_at,
        "released_by": hold.released_by,
    }

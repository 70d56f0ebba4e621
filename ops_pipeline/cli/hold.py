"""`opsctl hold`: rows that no policy may remove."""

from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from ops_pipeline.audit import times
from ops_pipeline.audit.person import person
from ops_pipeline.cli import tables
from ops_pipeline.cli.context import connected_to_one
from ops_pipeline.cli.output import Json, answer
from ops_pipeline.holds import holds

app = typer.Typer(help="Rows that no policy may remove.", no_args_is_help=True)

COUNT_SECONDS = 10.0

Database = Annotated[
    str | None, typer.Option("--database", help="As policies.yaml calls it; the first one unless said.")
]
HoldId = Annotated[int, typer.Argument(metavar="ID", help="The hold's id, from `opsctl hold list`.")]
By = Annotated[str | None, typer.Option("--by", help="Who does this; unless said, who is logged in.")]


@app.command("add")
def add_hold(
    table: Annotated[str, typer.Option(help="The table, or schema.table.")],
    where: Annotated[
        str,
        typer.Option(
            help="Which rows: tenant_id = 7 AND created_at >= 2026-01-01 AND created_at < 2026-02-01"
        ),
    ],
    reason: Annotated[str, typer.Option(help="Why they are held.")],
    owner: Annotated[str, typer.Option(help="Whom to ask before they are released.")],
    until: Annotated[
        str | None, typer.Option(help="When it ends: 90d, 12h or 2027-01-01. Unset: when it is released.")
    ] = None,
    by: By = None,
    chosen: Database = None,
    as_json: Json = False,
) -> None:
    """Hold rows, those there are and those to come. Once this returns, no policy can remove them."""
    with connected_to_one(chosen, "opsctl hold") as connection:
        hold = holds.add(
            connection, table, where,
            reason=reason, owner=owner, by=by or person(), ends_at=_end(until),
        )  # fmt: skip
        rows = holds.covered(connection, hold, seconds=COUNT_SECONDS)
    end = f"until {hold.ends_at:%Y-%m-%d %H:%M} UTC" if hold.ends_at else "until it is released"
    _answer(hold, rows, f"Hold {hold.id} on {hold.table} where {hold.predicate}, {end}.", as_json=as_json)


@app.command("list")
def list_holds(chosen: Database = None, as_json: Json = False) -> None:
    """Show every hold there ever was, the newest first."""
    with connected_to_one(chosen, "opsctl hold", writes=False) as connection:
        all_holds = holds.list_holds(connection)
    problems = [
        hold.problem for hold in all_holds if hold.problem and hold.state(datetime.now(UTC)) == "unclear"
    ]
    answer(
        {"holds": list(map(_as_json, all_holds))}, tables.holds_table(all_holds), *problems, as_json=as_json
    )


@app.command("confirm")
def confirm_hold(
    hold_id: HoldId,
    table: Annotated[
        str | None, typer.Option(help="The table it covers; unless said, the one that `hold list` names.")
    ] = None,
    where: Annotated[
        str | None, typer.Option(help="Which rows it covers; unless said, those that `hold list` names.")
    ] = None,
    by: By = None,
    chosen: Database = None,
    as_json: Json = False,
) -> None:
    """Say which rows a hold covers, where its table or column is not the one it was made for."""
    with connected_to_one(chosen, "opsctl hold") as connection:
        hold = holds.confirm(connection, hold_id, by=by or person(), table=table, where=where)
        rows = holds.covered(connection, hold, seconds=COUNT_SECONDS)
    _answer(hold, rows, f"Confirmed hold {hold.id} on {hold.table} where {hold.predicate}.", as_json=as_json)


@app.command("release")
def release_hold(
    hold_id: HoldId,
    by: By = None,
    chosen: Database = None,
    as_json: Json = False,
) -> None:
    """Let the rows of a hold go again, as far as no other hold covers them."""
    with connected_to_one(chosen, "opsctl hold") as connection:
        hold = holds.release(connection, hold_id, by=by or person())
    released = f"Released hold {hold.id} on {hold.table} where {hold.predicate}."
    answer(_as_json(hold), released, as_json=as_json)


def _answer(hold: holds.Hold, rows: int | None, sentence: str, *, as_json: bool) -> None:
    answer({**_as_json(hold), "rows": rows}, sentence, _coverage(rows), as_json=as_json)


def _end(until: str | None) -> datetime | None:
    try:
        return times.ahead(until, datetime.now(UTC)) if until else None
    except ValueError as error:
        raise holds.HoldRefusedError(f"until: {error}") from None


def _coverage(rows: int | None) -> str:
    if rows is None:
        return "Its rows were not counted: that takes long, or row security hides some from this user."
    if rows == 0:
        return "It covers no row now, only such as may come; see that the predicate is right."
    return f"It covers {rows:,} row{'' if rows == 1 else 's'} now."


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

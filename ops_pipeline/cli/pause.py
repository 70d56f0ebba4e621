"""`opsctl pause` and `opsctl resume`: stop maintenance of a database now, and let it continue."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from ops_pipeline import settings
from ops_pipeline.audit import times
from ops_pipeline.audit.person import person
from ops_pipeline.cli.context import connected_to, connections
from ops_pipeline.cli.options import By, Database
from ops_pipeline.cli.output import Json, answer, fail_for
from ops_pipeline.opsctl import opsctl
from ops_pipeline.pauses import pauses
from ops_pipeline.pauses.pauses import Pause
from ops_pipeline.policies import model
from ops_pipeline.postgres.connection import Connection
from ops_pipeline.postgres.rights import explained


def pause(
    reason: Annotated[
        str, typer.Option(help="Why maintenance is paused; shown by `status`, health and runs.")
    ],
    until: Annotated[
        str | None,
        typer.Option(
            help="When the pause ends by itself: 30m, 12h, 2d or 2027-01-01T06:00:00Z. Unset: when resumed."
        ),
    ] = None,
    by: By = None,
    chosen: Database = None,
    as_json: Json = False,
) -> None:
    """Stop maintenance now, and keep it stopped until `opsctl resume`.

    Runs in progress stop after their current batch, VACUUM after its current
    table; what was committed is kept. Runs that start meanwhile do nothing
    and end as paused. A second pause replaces the first.
    """
    ends_at = _end(until)
    _in_each(
        chosen,
        lambda connection: pauses.pause(connection, reason=reason, by=person(by), ends_at=ends_at),
        lambda database, made: f"{database}: {made.in_words(database)}" if made else "",
        as_json=as_json,
    )


def resume(by: By = None, chosen: Database = None, as_json: Json = False) -> None:
    """Let maintenance continue after `opsctl pause`.

    Nothing is started; the next run continues where the last one stopped.
    """
    _in_each(
        chosen,
        lambda connection: pauses.resume(connection, by=person(by)),
        _resumed,
        as_json=as_json,
    )


def paused_lines(resolved: settings.Settings, databases: Sequence[model.Database]) -> list[str]:
    """A line for each of the databases that is paused: since when, by whom, why, and how to resume.

    A database that does not answer has none.
    """
    return [
        f"{database.name}: {pause.in_words(database.name)}"
        for database, connection in connections(resolved, databases, "opsctl pause", [])
        if (pause := pauses.active(connection)) is not None
    ]


def _in_each(
    chosen: str | None,
    do: Callable[[Connection], Pause | None],
    in_words: Callable[[str, Pause | None], str],
    *,
    as_json: bool,
) -> None:
    """Does it in each database, and prints one line for each; exits with 1 when one could not be reached."""
    done: list[dict[str, Any]] = []
    lines: list[str] = []
    away: list[str] = []
    with connected_to(chosen, "opsctl pause", away) as databases:
        for database, connection in databases:
            with explained(connection):
                result = do(connection)
            done.append({"database": database.name, "pause": result})
            lines.append(in_words(database.name, result))
    answer({"databases": done}, *lines, as_json=as_json)
    fail_for(away)


def _resumed(database: str, ended: Pause | None) -> str:
    if ended is None:
        return f"{database}: not paused"
    return (
        f"{database}: resumed; it was paused by {ended.paused_by} ({ended.reason}). The next run continues. "
        f"To run now: {opsctl('run', database=database)}"
    )


def _end(until: str | None) -> datetime | None:
    try:
        return times.ahead(until, datetime.now(UTC)) if until else None
    except ValueError as error:
        raise pauses.PauseRefusedError(f"until: {error}") from None

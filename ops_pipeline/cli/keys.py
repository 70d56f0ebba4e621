"""`opsctl keys`: creates, lists, rotates and revokes keys for the HTTP API and the Dagster UI."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated

import typer

from ops_pipeline import settings
from ops_pipeline.access import keys, rotation
from ops_pipeline.cli import tables
from ops_pipeline.cli.context import chosen_databases, connected
from ops_pipeline.cli.output import Json, answer
from ops_pipeline.counted import counted
from ops_pipeline.maintenance import kinds

app = typer.Typer(help="Create, list, rotate and revoke keys for API and Dagster UI.", no_args_is_help=True)

WHEN = f"90d, 12h, 2027-01-01, or `{keys.NEVER}` (valid until it is revoked)."
Expires = Annotated[str, typer.Option(help=f"When the key expires: {WHEN}")]
NewExpires = Annotated[str, typer.Option("--expires", help=f"When the new key expires: {WHEN}")]


@app.command("create")
def create_key(
    name: Annotated[str, typer.Option(help="Who uses the key, shown by `keys list`.")],
    scope: Annotated[list[str], typer.Option(help=f"What the key may do: {', '.join(keys.SCOPES)}.")],
    database: Annotated[
        list[str] | None,
        typer.Option(
            help=f"Limit {keys.MAINTENANCE} to this database of policies.yaml; can be repeated. Unset: all."
        ),
    ] = None,
    expires: Expires = keys.LASTS,
    as_json: Json = False,
) -> None:
    """Create a key and show it once. Only its hash is stored."""
    expires_at = keys.expiry(expires, datetime.now(UTC))
    limit = _existing(database or ())
    with connected("opsctl keys") as connection:
        created = keys.create(connection, name, scope, expires_at, databases=limit)
    answer(created, f"{_of(created)}. It is not shown again:", created.key, as_json=as_json)


@app.command("list")
def list_keys(as_json: Json = False) -> None:
    """List all keys with their scopes and state. The keys themselves are not stored."""
    with connected("opsctl keys", writes=False) as connection:
        all_keys = keys.list_keys(connection)
    shown = tables.keys_table(all_keys) if all_keys else "There are no keys."
    answer({"keys": all_keys}, shown, as_json=as_json)


@app.command("rotate")
def rotate_key(
    key: Annotated[str, typer.Argument(help="The key's id, or its first characters, or its name.")],
    overlap: Annotated[
        str, typer.Option(help="How long the old key still works: 7d, 12h, or `0d` (stops at once).")
    ] = rotation.OVERLAP,
    expires: NewExpires = keys.LASTS,
    as_json: Json = False,
) -> None:
    """Replace a key with a new one and show it once.

    The new key has the name, scopes and databases of the old one. The old one
    expires after the overlap, or at its own expiry if that is earlier.
    """
    expires_at, both = keys.expiry(expires, datetime.now(UTC)), rotation.overlap_of(overlap)
    with connected("opsctl keys") as connection:
        new, until = rotation.rotate(connection, key, both, expires_at)
    answer(
        {"key": new, "old_key_expires_at": until},
        f"{_of(new)}. The old one works until {_minute(until)}. The new one is not shown again:",
        new.key,
        as_json=as_json,
    )


@app.command("revoke")
def revoke_key(
    key: Annotated[str, typer.Argument(help="The key's id, or its first characters, or its name.")],
    as_json: Json = False,
) -> None:
    """Revoke a key. Where several share a name, write the id.

    It stops working within 2 seconds in the API, and within 30 seconds in the
    Dagster UI.
    """
    with connected("opsctl keys") as connection:
        revoked = keys.revoke(connection, key)
    answer({"revoked": revoked}, f"Revoked {counted(revoked, 'key')}.", as_json=as_json)


def _existing(databases: Sequence[str]) -> Sequence[str]:
    """The databases, all of which policies.yaml has. Raises PolicyError."""
    if databases:
        loaded = settings.load()
        policies = kinds.load(loaded.policies)
        for name in databases:
            chosen_databases(loaded, policies, name)
    return databases


def _of(created: keys.NewKey) -> str:
    limit = f", for database {', '.join(created.databases)} only" if created.databases else ""
    until = "without expiry" if created.expires_at is None else f"valid until {_minute(created.expires_at)}"
    return f"Key of {created.name}, scopes {', '.join(created.scopes)}{limit}, {until}"


def _minute(time: datetime) -> str:
    return f"{time.astimezone(UTC):%Y-%m-%d %H:%M} UTC"

"""`opsctl keys`: creates, lists and revokes keys for the HTTP API."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from ops_pipeline.access import keys
from ops_pipeline.cli import tables
from ops_pipeline.cli.context import connected
from ops_pipeline.cli.output import Json, answer
from ops_pipeline.counted import counted

app = typer.Typer(help="Create, list and revoke keys for the HTTP API.", no_args_is_help=True)


@app.command("create")
def create_key(
    name: Annotated[str, typer.Option(help="Who uses the key, shown by `keys list`.")],
    scope: Annotated[list[str], typer.Option(help=f"What the key may do: {', '.join(keys.SCOPES)}.")],
    expires: Annotated[
        str | None, typer.Option(help="When the key expires: 90d, 12h or 2027-01-01. Unset: when revoked.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Create a key and show it once. Only its hash is stored."""
    expires_at = keys.expiry(expires, datetime.now(UTC)) if expires else None
    with connected("opsctl keys") as connection:
        created = keys.create(connection, name, scope, expires_at)
    until = f", until {created.expires_at:%Y-%m-%d %H:%M %Z}" if created.expires_at else ""
    sentence = f"Key of {created.name}, scopes {', '.join(created.scopes)}{until}. It is not shown again:"
    answer(created, sentence, created.key, as_json=as_json)


@app.command("list")
def list_keys(as_json: Json = False) -> None:
    """List all keys with their scopes and state. The keys themselves are not stored."""
    with connected("opsctl keys", writes=False) as connection:
        all_keys = keys.list_keys(connection)
    shown = tables.keys_table(all_keys) if all_keys else "There are no keys."
    answer({"keys": all_keys}, shown, as_json=as_json)


@app.command("revoke")
def revoke_key(
    key: Annotated[str, typer.Argument(help="The key's id, or its first characters, or its name.")],
    as_json: Json = False,
) -> None:
    """Revoke a key.

    It stops working within 2 seconds in the API, and within 30 seconds in the
    Dagster UI.
    """
    with connected("opsctl keys") as connection:
        revoked = keys.revoke(connection, key)
    answer({"revoked": revoked}, f"Revoked {counted(revoked, 'key')}.", as_json=as_json)

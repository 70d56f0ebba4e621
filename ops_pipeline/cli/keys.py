"""`opsctl keys`: who may use the HTTP API."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from ops_pipeline.access import keys
from ops_pipeline.cli import tables
from ops_pipeline.cli.context import connected
from ops_pipeline.cli.output import Json, answer

app = typer.Typer(help="Keys for the HTTP API.", no_args_is_help=True)


@app.command("create")
def create_key(
    name: Annotated[str, typer.Option(help="Whose key it is, for the list.")],
    scope: Annotated[list[str], typer.Option(help=f"What it may do: {', '.join(keys.SCOPES)}.")],
    expires: Annotated[
        str | None, typer.Option(help="When it stops working: 90d, 12h or 2027-01-01. Unset: when revoked.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Make a key. It is shown now and never again: only its hash is kept."""
    expires_at = keys.expiry(expires, datetime.now(UTC)) if expires else None
    with connected("opsctl keys") as connection:
        created = keys.create(connection, name, scope, expires_at)
    until = f", until {created.expires_at:%Y-%m-%d %H:%M %Z}" if created.expires_at else ""
    sentence = f"Key of {created.name}, scopes {', '.join(created.scopes)}{until}. Shown this once:"
    answer(created, sentence, created.key, as_json=as_json)


@app.command("list")
def list_keys(as_json: Json = False) -> None:
    """Show the keys there are, without the keys themselves."""
    with connected("opsctl keys", writes=False) as connection:
        all_keys = keys.list_keys(connection)
    answer({"keys": all_keys}, tables.keys_table(all_keys), as_json=as_json)


@app.command("revoke")
def revoke_key(
    key: Annotated[str, typer.Argument(help="The key's id, or its name.")], as_json: Json = False
) -> None:
    """Take a key back. It stops working within two seconds."""
    with connected("opsctl keys") as connection:
        revoked = keys.revoke(connection, key)
    answer({"revoked": revoked}, f"Revoked {revoked} key{'' if revoked == 1 else 's'}.", as_json=as_json)

"""`opsctl keys`: who may use the HTTP API."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from ops_pipeline.access import keys
from ops_pipeline.cli import tables
from ops_pipeline.cli.context import connected
from ops_pipeline.cli.output import Json, console, print_json

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
        made = keys.create(connection, name, scope, expires_at)
    if as_json:
        print_json(made)
    else:
        until = f", until {made.expires_at:%Y-%m-%d %H:%M %Z}" if made.expires_at else ""
        console.print(f"Key of {made.name}, scopes {', '.join(made.scopes)}{until}. Shown this once:")
        typer.echo(made.key)


@app.command("list")
def list_keys(as_json: Json = False) -> None:
    """Show the keys there are, without the keys themselves."""
    with connected("opsctl keys") as connection:
        found = keys.list_keys(connection)
    if as_json:
        print_json({"keys": found})
    else:
        console.print(tables.keys_table(found))


@app.command("revoke")
def revoke_key(
    key: Annotated[str, typer.Argument(help="The key's id, or its name.")], as_json: Json = False
) -> None:
    """Take a key back. It stops working within two seconds."""
    with connected("opsctl keys") as connection:
        revoked = keys.revoke(connection, key)
    if as_json:
        print_json({"revoked": revoked})
    else:
        console.print(f"Revoked {revoked} key{'' if revoked == 1 else 's'}.")

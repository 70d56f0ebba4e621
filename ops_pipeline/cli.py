"""`opsctl`: maintenance from a terminal or a script."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import msgspec
import psycopg
import typer

from ops_pipeline import database, embedded, keys, nightly, policy, services, settings, terminal
from ops_pipeline import demo as sample
from ops_pipeline.audit import cloudtrail
from ops_pipeline.maintenance import partitions
from ops_pipeline.policy_file import PolicyError

app = typer.Typer(
    help="Keeps a PostgreSQL application clean, accountable and observable.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
keys_app = typer.Typer(help="Keys for the HTTP API.", no_args_is_help=True)
import_app = typer.Typer(help="Bring audit events in from elsewhere.", no_args_is_help=True)
app.add_typer(keys_app, name="keys")
app.add_typer(import_app, name="import")

Json = Annotated[bool, typer.Option("--json", help="One JSON object on standard output, for scripts.")]

CLOUDTRAIL = Path("../shared/data/cloudtrail")
"""Where a checkout may have real events beside it."""

console = terminal.console()
notes = terminal.console(stderr=True)

WRONG_INPUT = (settings.SettingsError, PolicyError, keys.KeyRefusedError)
FAILED = (
    embedded.EmbeddedServerError,
    database.DatabaseUnavailableError,
    sample.DemoRefusedError,
    psycopg.Error,
)


def main() -> None:
    """The program: exit 0 done, 1 failed, 2 wrong usage."""
    # A `kill` cleans up as Ctrl-C does. A script's background job starts with SIGINT ignored, and so
    # would every process below it, which Dagster takes as leave to ignore SIGTERM too.
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, signal.default_int_handler)
    try:
        app()
    except WRONG_INPUT as error:
        _complain(error)
        sys.exit(2)
    except FAILED as error:
        _complain(error)
        sys.exit(1)
    except KeyboardInterrupt:
        _complain("Interrupted. What was committed stays done; the next run goes on from there.")
        sys.exit(1)


@app.command()
def migrate(as_json: Json = False) -> None:
    """Create or update our tables: audit_logs and the schema ops. The application's stay as they are."""
    with embedded.resolved(settings.load()) as resolved:
        applied = database.migrate(_url(resolved))
        with database.connect(_url(resolved), "opsctl migrate") as connection:
            created = partitions.ensure_ahead(connection, "public.audit_logs")
    if as_json:
        _print_json({"applied": applied, "partitions_created": created})
    else:
        console.print(f"Applied: {', '.join(applied) or 'nothing, the schema is up to date'}")
        console.print(f"Day partitions of audit_logs created ahead: {created}")


@app.command()
def plan(as_json: Json = False) -> None:
    """Count what each policy would remove now. Removes nothing."""
    with _policies() as (resolved, policies):
        planned = nightly.plan(resolved, policies)
    if as_json:
        _print_json({"policies": planned})
    else:
        console.print(terminal.plan_table(planned))


@app.command()
def run(as_json: Json = False) -> None:
    """Carry every policy out now, as a Dagster run, and wait for it."""
    with _policies() as (resolved, policies):
        night = nightly.run(resolved, policies, notes if as_json else console)
    _show(night, as_json=as_json)
    raise typer.Exit(0 if night.succeeded else 1)


@app.command()
def demo(
    scale: Annotated[
        float, typer.Option(min=0.001, help="1 is 50,000 sessions and what goes with them.")
    ] = 1,
    seed: Annotated[int, typer.Option(help="The same seed makes the same rows.")] = 1,
    as_json: Json = False,
) -> None:
    """Fill an empty database with a sample application's 120 days, then carry the policies out."""
    say = notes if as_json else console
    with _policies(check=False) as (resolved, policies):
        filled = sample.fill(_url(resolved), seed=seed, scale=scale, report=say.print)
        deliveries = resolved.demo_cloudtrail or CLOUDTRAIL
        if filled.created and deliveries.is_dir():
            imported = _import(resolved, [deliveries])
            say.print(f"Imported {imported.stored:,} CloudTrail events from {deliveries}")
        nightly.check(resolved, policies)
        night = nightly.run(resolved, policies, say)
    _show(night, as_json=as_json)
    if not as_json:
        console.print("\nSee it in the Dagster UI: [bold]make up[/]")
    raise typer.Exit(0 if night.succeeded and night.nothing_left else 1)


@app.command()
def up() -> None:
    """Keep the database, the Dagster UI and its daemon, and the API running until Ctrl-C."""
    with _policies(check=False) as (resolved, policies):
        migrate()
        nightly.check(resolved, policies)
        environment = nightly.environment(resolved)
        console.print(f"Dagster  http://{resolved.dagster_host}:{resolved.dagster_port}")
        console.print(f"API      http://{resolved.api_host}:{resolved.api_port}/schema")
        console.print(f"Logs in {settings.LOCAL / 'log'}. Ctrl-C stops everything.")
        told = services.run(
            services.of(resolved),
            environment,
            settings.LOCAL / "log",
            stop_within=resolved.shutdown_timeout_seconds + services.KILL_AFTER_SECONDS,
            report=_complain,
        )
    if not told:
        raise typer.Exit(1)
    console.print("Everything has stopped.")


@import_app.command("cloudtrail")
def import_cloudtrail(
    paths: Annotated[list[Path], typer.Argument(help="CloudTrail files (.json, .json.gz) or folders.")],
    as_json: Json = False,
) -> None:
    """Store CloudTrail events in the audit log. Importing twice changes nothing."""
    with embedded.resolved(settings.load()) as resolved:
        database.migrate(_url(resolved))
        report = _import(resolved, paths)
    if as_json:
        _print_json(report)
    else:
        terminal.show_import(console, report)
    raise typer.Exit(1 if report.rejected else 0)


@keys_app.command("create")
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
    with _connected("opsctl keys") as connection:
        made = keys.create(connection, name, scope, expires_at)
    if as_json:
        _print_json(made)
    else:
        until = f", until {made.expires_at:%Y-%m-%d %H:%M %Z}" if made.expires_at else ""
        console.print(f"Key of {made.name}, scopes {', '.join(made.scopes)}{until}. Shown this once:")
        typer.echo(made.key)


@keys_app.command("list")
def list_keys(as_json: Json = False) -> None:
    """Show the keys there are, without the keys themselves."""
    with _connected("opsctl keys") as connection:
        found = keys.list_keys(connection)
    if as_json:
        _print_json({"keys": found})
    else:
        console.print(terminal.keys_table(found))


@keys_app.command("revoke")
def revoke_key(
    key: Annotated[str, typer.Argument(help="The key's id, or its name.")], as_json: Json = False
) -> None:
    """Take a key back. It stops working within two seconds."""
    with _connected("opsctl keys") as connection:
        revoked = keys.revoke(connection, key)
    if as_json:
        _print_json({"revoked": revoked})
    else:
        console.print(f"Revoked {revoked} key{'' if revoked == 1 else 's'}.")


@contextmanager
def _policies(*, check: bool = True) -> Iterator[tuple[settings.Settings, policy.Policies]]:
    loaded = settings.load()
    policies = policy.load(loaded.policies)  # a wrong file is told before anything is started
    with embedded.resolved(loaded) as resolved:
        if check:
            nightly.check(resolved, policies)
        yield resolved, policies


@contextmanager
def _connected(name: str) -> Iterator[database.Connection]:
    with embedded.resolved(settings.load()) as resolved:
        database.migrate(_url(resolved))
        with database.connect(_url(resolved), name) as connection:
            yield connection


def _import(resolved: settings.Settings, paths: list[Path]) -> cloudtrail.ImportReport:
    with (
        database.connect(_url(resolved), "opsctl import") as connection,
        terminal.import_progress(notes) as progress,
    ):
        return cloudtrail.import_files(connection, paths, report_progress=progress)


def _show(night: nightly.Night, *, as_json: bool) -> None:
    if as_json:
        _print_json({"run_id": night.run_id, "status": night.status, "policies": night.policies})
        return
    console.print()
    console.print(terminal.results_table(night.policies))
    for failure in (*terminal.reasons(night.policies), *night.failures):
        _complain(failure)
    colour = "green" if night.succeeded else "red"
    console.print(f"\nDagster run {night.run_id}: [{colour}]{night.status}[/]")


def _url(resolved: settings.Settings) -> str:
    return str(resolved.database_url)  # `embedded.resolved` has filled it in


def _print_json(content: Any) -> None:
    typer.echo(msgspec.json.encode(content).decode())


def _complain(message: object) -> None:
    notes.print(str(message), style="red", markup=False, highlight=False)

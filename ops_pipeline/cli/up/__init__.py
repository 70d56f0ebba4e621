"""`opsctl up`: runs the Dagster UI, its daemon and the API on this machine."""

import secrets

import typer

from ops_pipeline import settings
from ops_pipeline.cli.context import check_policies, opened_policies
from ops_pipeline.cli.embedded_option import program
from ops_pipeline.cli.migrate import migrate_all
from ops_pipeline.cli.output import complain, console
from ops_pipeline.cli.up import services, workspace
from ops_pipeline.policies.file import PolicyError


def up() -> None:
    """Run the Dagster UI and daemon and the API until Ctrl-C.

    Applies the migrations first, and prints a link that signs you in to the
    Dagster UI, once. Without OPS_DATABASE_URL it also runs an embedded
    PostgreSQL in .local/postgres.
    """
    command = program()
    with opened_policies(check=False, or_embedded=True) as (resolved, policies):
        services.require_free_ports(resolved)
        migrate_all(resolved, policies)
        try:
            check_policies(resolved, policies)
        except PolicyError as error:
            complain(f"{error}\nPolicies with these problems fail until they are fixed; the others run.")
        # Dagster takes seconds to import.
        from ops_pipeline.orchestration import instance  # noqa: PLC0415
        from ops_pipeline.orchestration.webserver.first_token import FIRST_TOKEN  # noqa: PLC0415

        token = secrets.token_urlsafe(32)
        environment = instance.prepare(resolved)
        page = resolved.public_dagster_url

        def announce() -> None:
            console.print(f"Dagster  {page}/sign-in?token={token}", soft_wrap=True, markup=False)
            console.print(f"         This link signs you in, once; from then on open {page}", soft_wrap=True)
            console.print(f"API      http://{resolved.api_host}:{resolved.api_port}/schema")
            console.print(f"Commands {command} plan")

        console.print(f"Starting. Logs in {settings.LOCAL / 'log'}. Ctrl-C stops everything.")
        with workspace.written(resolved.dagster_location) as written:
            stopped_by_signal = services.run(
                services.services_of(written, {FIRST_TOKEN: token}),
                environment,
                settings.LOCAL / "log",
                stop_within=resolved.shutdown_timeout_seconds + services.KILL_AFTER_SECONDS,
                report=complain,
                answering=(resolved.dagster_host, resolved.dagster_port),
                announce=announce,
            )
    if not stopped_by_signal:
        raise typer.Exit(1)
    console.print("Everything has stopped.")

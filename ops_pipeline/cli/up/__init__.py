"""`opsctl up`: runs the Dagster UI, its daemon and the API on this machine."""

import typer

from ops_pipeline import settings
from ops_pipeline.cli.context import check_policies, opened_policies, opsctl
from ops_pipeline.cli.migrate import migrate_all
from ops_pipeline.cli.output import complain, console
from ops_pipeline.cli.up import services
from ops_pipeline.policies.file import PolicyError


def up() -> None:
    """Run the Dagster UI and daemon and the API until Ctrl-C.

    Applies the migrations first. Without OPS_DATABASE_URL it also runs an
    embedded PostgreSQL in .local/postgres.
    """
    command = opsctl()
    with opened_policies(check=False, or_embedded=True) as (resolved, policies):
        services.require_free_ports(resolved)
        migrate_all(resolved, policies)
        try:
            check_policies(resolved, policies)
        except PolicyError as error:
            complain(f"{error}\nPolicies with these problems fail until they are fixed; the others run.")
        from ops_pipeline.orchestration import instance  # noqa: PLC0415 - Dagster takes seconds to import

        environment = instance.prepare(resolved)
        console.print(f"Dagster  http://{resolved.dagster_host}:{resolved.dagster_port}")
        console.print(f"API      http://{resolved.api_host}:{resolved.api_port}/schema")
        console.print(f"Commands {command} plan")
        console.print(f"Logs in {settings.LOCAL / 'log'}. Ctrl-C stops everything.")
        stopped_by_signal = services.run(
            services.services_of(resolved),
            environment,
            settings.LOCAL / "log",
            stop_within=resolved.shutdown_timeout_seconds + services.KILL_AFTER_SECONDS,
            report=complain,
        )
    if not stopped_by_signal:
        raise typer.Exit(1)
    console.print("Everything has stopped.")

"""Serves the Dagster UI, with a sign-in, on OPS_DAGSTER_HOST and OPS_DAGSTER_PORT until it is terminated."""

import argparse
import os
import signal
import sys
from types import FrameType

import dagster as dg
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import WorkspaceFileTarget
from dagster_webserver.app import create_app_from_workspace_process_context
from dagster_webserver.version import __version__

from ops_pipeline import settings
from ops_pipeline.audit.person import person
from ops_pipeline.orchestration.webserver import server
from ops_pipeline.orchestration.webserver.addresses import Addresses
from ops_pipeline.orchestration.webserver.evidence import Evidence
from ops_pipeline.orchestration.webserver.first_token import FIRST_TOKEN
from ops_pipeline.orchestration.webserver.known_keys import KnownKeys
from ops_pipeline.orchestration.webserver.middleware import SignInMiddleware
from ops_pipeline.orchestration.webserver.sessions import Sessions
from ops_pipeline.postgres import embedded
from ops_pipeline.serving.connections import FileLimitError

STATEMENT_TIMEOUT_MILLISECONDS, RECYCLE_SECONDS, OVERFLOW = 15_000, 3600, 20
"""Of the connections to Dagster's database: the defaults of `dagster-webserver`."""


def main() -> None:
    """Exits with 2 when a setting is missing or invalid, with 1 when the limit on open files is too low."""
    arguments = argparse.ArgumentParser(
        prog="python -m ops_pipeline.orchestration.webserver", description=__doc__
    )
    arguments.add_argument(
        "-w", "--workspace", required=True, help="The file with the code locations (workspace.yaml)."
    )
    workspace = arguments.parse_args().workspace
    # uvicorn raises the signal again once it has stopped; Dagster's contexts are to be left before the end.
    signal.signal(signal.SIGTERM, _leave)
    try:
        configured = settings.load()
        settings.require_database(configured)
        with embedded.resolved(configured) as resolved:
            _serve(resolved, workspace)
    except settings.SettingsError as error:
        sys.stderr.write(f"The Dagster UI cannot start: {error}\n")
        sys.exit(2)
    except FileLimitError as error:
        sys.exit(f"The Dagster UI cannot start: {error}")


def _serve(resolved: settings.Settings, workspace: str) -> None:
    token = os.environ.pop(FIRST_TOKEN, None)
    most = server.most_clients()
    with dg.DagsterInstance.get() as instance:
        instance.optimize_for_webserver(STATEMENT_TIMEOUT_MILLISECONDS, RECYCLE_SECONDS, OVERFLOW)
        with WorkspaceProcessContext(
            instance, version=__version__, workspace_load_target=WorkspaceFileTarget(paths=[workspace])
        ) as context:
            evidence = Evidence(str(resolved.database_url), resolved.trusted_proxies or ())
            app = SignInMiddleware(
                create_app_from_workspace_process_context(context, live_data_poll_rate=2000),
                addresses=Addresses.of(resolved),
                keys=KnownKeys(str(resolved.database_url)),
                evidence=evidence,
                find_run=instance.get_run_by_id,
                sessions=Sessions(first_token=token, first_person=person()),
                user_header=resolved.dagster_user_header,
                most_connections=most,
            )
            server.run(app, resolved.dagster_host, resolved.dagster_port, most=most, during=evidence)


def _leave(_signal: int, _frame: FrameType | None) -> None:
    sys.exit(0)


if __name__ == "__main__":
    main()

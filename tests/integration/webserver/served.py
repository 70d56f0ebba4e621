"""The Dagster UI behind its sign-in, in this process: Dagster's application on a port, without a daemon."""

import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import httpx
import uvicorn
from dagster._core.remote_origin import InProcessCodeLocationOrigin
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import InProcessWorkspaceLoadTarget
from dagster_webserver.app import create_app_from_workspace_process_context

from ops_pipeline import settings
from ops_pipeline.orchestration.webserver.addresses import Addresses
from ops_pipeline.orchestration.webserver.evidence import Evidence
from ops_pipeline.orchestration.webserver.known_keys import KnownKeys
from ops_pipeline.orchestration.webserver.middleware import SignInMiddleware
from ops_pipeline.orchestration.webserver.server import ALIVE, configured
from ops_pipeline.orchestration.webserver.sessions import Sessions
from ops_pipeline.serving.connections import Connections
from tests.eventually import eventually

COORDINATOR = {
    "module": "ops_pipeline.orchestration.run_coordinator",
    "class": "IdentifyingRunCoordinator",
}
LOCATION_NAME = "location.py"
LOCATION = """
from pathlib import Path

from ops_pipeline.maintenance import kinds
from ops_pipeline.orchestration.definitions import build_definitions

defs = build_definitions(kinds.load(Path({policies!r})))
"""
FORGED = {"ops/started_by": "forged", "ops/trigger": "schedule", "ops/outcome": "done"}
"""The tags of a launch, as a client may write them."""
LAUNCH = """mutation ($parameters: ExecutionParams!) {launchRun(executionParams: $parameters) {
  __typename ... on LaunchRunSuccess {run {runId}} ... on PythonError {message}
  ... on RunConfigValidationInvalid {errors {message}}}}"""


@dataclass
class Served:
    """The UI's address, with and without the sign-in, and Dagster's instance behind it."""

    address: str
    without_sign_in: str
    instance: dg.DagsterInstance
    context: WorkspaceProcessContext
    sessions: Sessions
    keys: KnownKeys
    evidence: Evidence

    def launch(
        self,
        config: Any,
        *,
        job: str = "nightly_app",
        whole: Any = None,
        tags: Mapping[str, str] = FORGED,
        address: str | None = None,
        **request: Any,
    ) -> dict[str, Any]:
        """Launches the job as the launchpad does, and returns `launchRun`. `config` is the resource's part of
        the configuration, `whole` all of it."""
        written = [{"key": name, "value": value} for name, value in tags.items()]
        parameters = {
            "selector": {
                "repositoryLocationName": LOCATION_NAME,
                "repositoryName": "__repository__",
                "pipelineName": job,
            },
            "runConfigData": {"resources": {"databases": {"config": config}}} if config else whole or {},
            "mode": "default",
            "executionMetadata": {"tags": written},
        }
        return self.ask_launch(parameters, address=address, **request)

    def ask_launch(self, parameters: Any, *, address: str | None = None, **request: Any) -> dict[str, Any]:
        """`launchRun` with these execution parameters."""
        body = {"query": LAUNCH, "variables": {"parameters": parameters}}
        answer = httpx.post(f"{address or self.address}/graphql", json=body, timeout=30, **request)
        launched: dict[str, Any] = answer.json()["data"]["launchRun"]
        if address is None:
            assert answer.status_code == (403 if launched["__typename"] == "PythonError" else 200)
        return launched


@contextmanager
def serving(url: str, policies: Path, folder: Path) -> Iterator[Served]:
    """Serves the policies. The variables OPS_DATABASE_URL and OPS_POLICIES must be set in each test."""
    location = folder / "location.py"
    location.write_text(LOCATION.format(policies=str(policies)))
    origin = InProcessCodeLocationOrigin(
        LoadableTargetOrigin(python_file=str(location)), location_name=LOCATION_NAME
    )
    behind, bare = _listening(), _listening()
    port = behind.getsockname()[1]
    configured = settings.Settings(database_url=url, dagster_port=port)
    sessions, keys, evidence = Sessions(), KnownKeys(url), Evidence(url)
    with (
        dg.DagsterInstance.local_temp(str(folder), overrides={"run_coordinator": COORDINATOR}) as instance,
        WorkspaceProcessContext(
            instance, workspace_load_target=InProcessWorkspaceLoadTarget([origin])
        ) as context,
    ):
        app = create_app_from_workspace_process_context(context)
        middleware = SignInMiddleware(
            app,
            addresses=Addresses.of(configured),
            keys=keys,
            evidence=evidence,
            sessions=sessions,
            find_run=instance.get_run_by_id,
        )
        with _running(middleware, behind) as address, _running(app, bare) as without_sign_in:
            yield Served(address, without_sign_in, instance, context, sessions, keys, evidence)


def _listening() -> socket.socket:
    return socket.create_server(("127.0.0.1", 0))


@contextmanager
def _running(app: Any, listening: socket.socket) -> Iterator[str]:
    config = configured(app)
    config.lifespan, config.timeout_graceful_shutdown = "off", 1
    server = uvicorn.Server(config)
    server.server_state = Connections(100, ALIVE)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        eventually(lambda: server.started)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()

"""`opsctl up` for tests: the real webserver, daemon and code server, queried over GraphQL."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import httpx

from tests.eventually import eventually

PROGRAMS = Path(sys.executable).parent
LOCATION = {"repositoryLocationName": "ops_pipeline", "repositoryName": "__repository__"}

Answer = TypeVar("Answer")


@dataclass
class Services:
    """The running services of a folder."""

    folder: Path
    environment: dict[str, str]
    process: subprocess.Popen[bytes]
    person: httpx.Client = field(default_factory=httpx.Client)
    """A browser; signed in by the link that `opsctl up` prints."""

    @classmethod
    def start(cls, folder: Path, environment: dict[str, str]) -> "Services":
        """Starts them, and returns when Dagster has loaded the policies."""
        services = cls(folder, environment, _up(folder, environment))
        services._sign_in()
        services.wait_for(services._loaded, 240)
        return services

    def start_again(self) -> None:
        """Starts them again in the same folder, after they have ended."""
        self.process = _up(self.folder, self.environment)
        self._sign_in()
        self.wait_for(self._loaded, 240)

    def kill_everything(self) -> None:
        """Kills every process of the services at once."""
        for pid in _family(self.process.pid):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        """Stops them as Ctrl-C would."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        self.process.wait(timeout=90)

    def wait_for(self, question: Callable[[], Answer | None], seconds: float) -> Answer:
        """The first answer that is not None or False; fails after the time limit."""

        def asked() -> Answer | None:
            assert self.process.poll() is None, (self.folder / "up.log").read_text()
            return question()

        return eventually(asked, seconds=seconds)

    def ask(self, query: str, **variables: Any) -> Any:
        """The answer of Dagster's GraphQL."""
        address = f"http://127.0.0.1:{self.environment['OPS_DAGSTER_PORT']}/graphql"
        body = {"query": query, "variables": variables}
        answer = self.person.post(address, json=body, timeout=30).json()
        assert "errors" not in answer, answer["errors"]
        return answer["data"]

    def launch(self, job: str = "nightly_app", **execution: Any) -> str:
        """Starts a job as the launchpad does, and returns the run's id."""
        selector = LOCATION | {"pipelineName": job, **execution.pop("selector", {})}
        parameters = {"selector": selector, "runConfigData": {}, "mode": "default", **execution}
        launched = self.ask(LAUNCH, parameters=parameters)["launchRun"]
        assert launched["__typename"] == "LaunchRunSuccess", launched
        return str(launched["run"]["runId"])

    def run(self, run_id: str) -> dict[str, Any]:
        """The run as the UI shows it."""
        shown: dict[str, Any] = self.ask(RUN, id=run_id)["runOrError"]
        return shown

    def ended(self, run_id: str, seconds: float = 300) -> str:
        """The run's status, once it has ended."""

        def status() -> str | None:
            shown = self.run(run_id)["status"]
            return str(shown) if shown in {"SUCCESS", "FAILURE", "CANCELED"} else None

        return self.wait_for(status, seconds)

    def events(self, run_id: str) -> list[dict[str, Any]]:
        """The messages of the run."""
        said: list[dict[str, Any]] = self.ask(EVENTS, id=run_id)["logsForRun"]["events"]
        return said

    def _sign_in(self) -> None:
        def signed_in() -> bool:
            link = last_link((self.folder / "up.log").read_text())
            with suppress(httpx.TransportError):
                return link is not None and self.person.get(link, timeout=5).status_code == 303
            return False

        self.wait_for(signed_in, 240)

    def _loaded(self) -> bool:
        try:
            entries = self.ask(LOCATIONS)["workspaceOrError"]["locationEntries"]
        except (httpx.TransportError, ValueError):
            return False
        return [each["loadStatus"] for each in entries] == ["LOADED"]


def last_link(said: str) -> str | None:
    """The newest link in the output of `opsctl up` that signs a person in to the Dagster UI."""
    links: list[str] = re.findall(r"http\S+/sign-in\?token=\S+", said)
    return links[-1] if links else None


def _up(folder: Path, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    with (folder / "up.log").open("ab") as log:
        return subprocess.Popen(
            [str(PROGRAMS / "opsctl"), "up"],
            cwd=folder,
            env=os.environ | environment,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def _family(pid: int) -> list[int]:
    """The process and all of its descendants."""
    children = [
        int(child)
        for task in Path(f"/proc/{pid}/task").glob("*/children")
        for child in task.read_text().split()
    ]
    return [pid, *(each for child in children for each in _family(child))]


LOCATIONS = "{workspaceOrError {... on Workspace {locationEntries {name loadStatus}}}}"
LAUNCH = """mutation ($parameters: ExecutionParams!) {launchRun(executionParams: $parameters) {
  __typename ... on LaunchRunSuccess {run {runId}} ... on PythonError {message}
  ... on RunConfigValidationInvalid {errors {message}}}}"""
RUN = """query ($id: ID!) {runOrError(runId: $id) {... on Run {
  status parentRunId tags {key value} hasConcurrencyKeySlots}}}"""
EVENTS = """query ($id: ID!) {logsForRun(runId: $id) {... on EventConnection {events {
  __typename ... on MessageEvent {message stepKey eventType timestamp}
  ... on DisplayableEvent {metadataEntries {
    label ... on IntMetadataEntry {intValue} ... on TextMetadataEntry {text}}}
}}}}"""

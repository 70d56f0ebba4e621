"""`make demo`, `make demo` again, `make up`: the first steps of a new user."""

import json
import os
import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from ops_pipeline.maintenance.guard import approvals
from ops_pipeline.postgres import embedded
from ops_pipeline.postgres.connection import connect
from tests.eventually import eventually
from tests.system.conftest import PROGRAMS, REPOSITORY, Opsctl
from tests.system.services import last_link

# As the overview's timeline and the jobs page ask for the runs of a code location.
RUNS = """{runsOrError(limit: 10, filter: {tags: [
  {key: ".dagster/repository", value: "__repository__@ops_pipeline"}]}) {
  ... on Runs {results {runId status jobName}}}}"""
FROM_FAILURE = """mutation {
  launchRunReexecution(reexecutionParams: {parentRunId: "%s", strategy: FROM_FAILURE}) {
  __typename ... on LaunchRunSuccess {run {runId}} ... on PythonError {message}}}"""
ASSET = """{assetOrError(assetKey: {path: ["app", "retention", "sessions"]}) {... on Asset {
  assetMaterializations(limit: 10) {runId metadataEntries {label ... on IntMetadataEntry {intValue}}}}}}"""
SCHEDULE = """{scheduleOrError(scheduleSelector: {repositoryName: "__repository__",
  repositoryLocationName: "ops_pipeline", scheduleName: "nightly_app"}) {... on Schedule {
  cronSchedule scheduleState {status} futureTicks(limit: 1) {results {timestamp}}}}}"""


@pytest.fixture(scope="module")
def first_run(folder: Path) -> dict[str, Any]:
    """The output of the first `opsctl demo` in a folder."""
    command = [str(PROGRAMS / "opsctl"), "demo", "--scale", "0.02", "--json"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    said: dict[str, Any] = json.loads(done.stdout)
    return said | {"progress": done.stderr}


def test_the_demo_removes_every_expired_and_orphaned_row_after_one_approval(
    first_run: dict[str, Any],
) -> None:
    assert first_run["status"] == "SUCCESS"
    policies = {each["policy"]: each for each in first_run["policies"]}
    assert list(policies) == [
        "app/retention/sessions",
        "app/retention/audit_logs",
        "app/orphans/memories.session_id",
        "app/vacuum",
    ]
    for name in list(policies)[:3]:
        assert policies[name]["removed"] > 0
        assert policies[name]["remaining"] == 0
    assert all(each["outcome"] == "done" for each in policies.values())


def test_the_demo_ends_with_a_surprise_that_waits_for_a_person(
    first_run: dict[str, Any], opsctl: Opsctl
) -> None:
    (surprise,) = first_run["surprise"]["policies"]
    assert (surprise["policy"], surprise["outcome"]) == ("app/retention/sessions", "needs_approval")
    assert surprise["removed"] == 0

    planned = opsctl("--embedded", "plan", "--json")

    assert planned.returncode == 3, planned.stderr
    said = json.loads(planned.stdout)
    assert [plan["id"] for plan in said["pending"]] == [surprise["details"]["plan"]], "the plan keeps its id"
    assert {each["policy"]: each["rows"] and each["rows"]["eligible"] for each in said["policies"]} == {
        "app/retention/sessions": surprise["remaining"],
        "app/retention/audit_logs": 0,
        "app/orphans/memories.session_id": 0,
        "app/vacuum": None,
    }


def test_the_readme_shows_the_steps_that_the_demo_prints(first_run: dict[str, Any]) -> None:
    readme = (REPOSITORY / "README.md").read_text().partition("## Your own database")[0]

    assert _steps(first_run["progress"]) == _steps(readme.replace(".venv/bin/", ""))
    assert len(_steps(readme)) == 5


def _steps(said: str) -> list[str]:
    """The numbered lines of the demo, without ids and numbers of rows."""
    steps = re.findall(r"^ *(\d\. .*)$", said, re.MULTILINE)
    return [re.sub(r"[a-f][0-9a-f]{7}|[\d,]+(?= old)", "N", step) for step in steps]


def test_a_run_that_fails_exits_1_and_says_why(
    first_run: dict[str, Any], folder: Path, opsctl: Opsctl
) -> None:
    with (
        embedded.running(folder / ".local" / "postgres") as server,
        connect(server.url("app"), "the other run") as other,
    ):
        other.execute("SELECT pg_advisory_lock(hashtextextended('ops: app/retention/audit_logs', 0))")
        failed = opsctl("--embedded", "run", "--policy", "app/retention/audit_logs")

    assert failed.returncode == 1
    assert "FAILURE" in failed.stdout
    assert "audit_logs: did not run: another run of this policy is running: the other" in failed.stderr
    assert "Nothing was changed. Wait for that run to end, then: " in failed.stderr


@pytest.fixture
def up(folder: Path, free_port: Callable[[], int]) -> Iterator[tuple[subprocess.Popen[str], str, str]]:
    """`opsctl up`, with the addresses of Dagster and of the API."""
    dagster, api = free_port(), free_port()
    environment = os.environ | {"OPS_DAGSTER_PORT": str(dagster), "OPS_API_PORT": str(api)}
    with (folder / "up.log").open("w") as log:
        process = subprocess.Popen(
            [str(PROGRAMS / "opsctl"), "up"],
            cwd=folder,
            env=environment,
            stdout=log,
            stderr=log,
            text=True,
            start_new_session=True,
        )
    try:
        yield process, f"http://127.0.0.1:{dagster}", f"http://127.0.0.1:{api}"
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.wait(timeout=60)


def test_up_shows_the_run_re_executes_it_from_failure_and_leaves_no_process(
    first_run: dict[str, Any], folder: Path, up: tuple[subprocess.Popen[str], str, str]
) -> None:
    process, dagster, api = up
    _wait_until_it_answers(process, f"{dagster}/server_info")
    _wait_until_it_answers(process, f"{api}/health/ready")

    assert httpx.post(f"{dagster}/graphql", json={"query": RUNS}).status_code == 401
    link = last_link((folder / "up.log").read_text())
    assert link is not None
    with httpx.Client() as person:
        assert person.get(link).status_code == 303
        _shows_the_run_and_the_schedule(person, dagster, first_run)
        _recovers_from_failure(person, dagster, folder, first_run)

    process.send_signal(signal.SIGINT)

    assert process.wait(timeout=60) == 0
    assert "Everything has stopped." in (folder / "up.log").read_text()
    assert _processes_of(folder) == []


def _shows_the_run_and_the_schedule(person: httpx.Client, dagster: str, first_run: dict[str, Any]) -> None:
    runs = _ask(person, dagster, RUNS)["runsOrError"]["results"]
    assert {"runId": first_run["run_id"], "status": "SUCCESS", "jobName": "nightly_app"} in runs
    materializations = _ask(person, dagster, ASSET)["assetOrError"]["assetMaterializations"]
    (shown,) = [
        {entry["label"]: entry.get("intValue") for entry in each["metadataEntries"]}
        for each in materializations
    ]
    assert shown["rows_removed"] == first_run["policies"][0]["removed"]
    assert shown["rows_remaining"] == 0
    schedule = _ask(person, dagster, SCHEDULE)["scheduleOrError"]
    assert schedule["scheduleState"]["status"] == "RUNNING"
    assert schedule["cronSchedule"] == "0 2 * * *"
    assert schedule["futureTicks"]["results"]


def _recovers_from_failure(
    person: httpx.Client, dagster: str, folder: Path, first_run: dict[str, Any]
) -> None:
    """Approves the surprise's plan and re-executes its run, which `opsctl` started, from failure."""
    (surprise,) = first_run["surprise"]["policies"]
    with embedded.running(folder / ".local" / "postgres") as server, connect(server.url("app"), "a") as app:
        approvals.approve(app, surprise["details"]["plan"], "ada")
    blocked = first_run["surprise"]["run_id"]

    launched = _ask(person, dagster, FROM_FAILURE % blocked)["launchRunReexecution"]

    assert launched["__typename"] == "LaunchRunSuccess", launched
    again = launched["run"]["runId"]

    def ended() -> str | None:
        (run,) = [
            run for run in _ask(person, dagster, RUNS)["runsOrError"]["results"] if run["runId"] == again
        ]
        return str(run["status"]) if run["status"] in {"SUCCESS", "FAILURE", "CANCELED"} else None

    assert eventually(ended, seconds=120) == "SUCCESS"


def _wait_until_it_answers(process: subprocess.Popen[str], address: str) -> None:
    def answers() -> bool:
        assert process.poll() is None, "it has ended"
        with suppress(httpx.TransportError):
            return httpx.get(address, timeout=5).status_code == 200
        return False

    eventually(answers, seconds=90)


def _ask(person: httpx.Client, dagster: str, query: str) -> dict[str, Any]:
    answer = person.post(f"{dagster}/graphql", json={"query": query}, timeout=30).json()
    assert "errors" not in answer, answer
    data: dict[str, Any] = answer["data"]
    return data


def _processes_of(folder: Path) -> list[str]:
    """The command lines of processes that use that folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            works_there = (process / "cwd").readlink().is_relative_to(folder)
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue  # it has ended, or belongs to another user
        if works_there or str(folder) in command:
            found.append(command)
    return found

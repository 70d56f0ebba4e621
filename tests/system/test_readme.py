"""The examples of the README and of docs/api.md work as written."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from tests.eventually import eventually
from tests.system.conftest import PROGRAMS, REPOSITORY


@pytest.fixture
def api(url: str, tmp_path: Path, free_port: Callable[[], int]) -> Iterator[str]:
    """`python -m api` over a migrated database."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "api"],
        cwd=tmp_path,
        env=os.environ | {"OPS_DATABASE_URL": url, "OPS_API_PORT": str(port)},
        start_new_session=True,
    )
    address = f"http://127.0.0.1:{port}"

    def answers() -> bool:
        assert process.poll() is None, "it has ended"
        with suppress(httpx.TransportError):
            return httpx.get(f"{address}/health/live").status_code == 200
        return False

    eventually(answers)
    yield address
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=30) == 0


def test_the_curl_examples_work(api: str, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPS_DATABASE_URL", url)
    section = (REPOSITORY / "docs" / "api.md").read_text().split("## Six requests")[1].split("```")[1]
    lines = section.removeprefix("sh\n").replace("\\\n", " ").splitlines()
    key = ""
    answers = []
    for line in filter(None, lines):
        if line.startswith("KEY="):
            key = _run(line.removeprefix("KEY=$(").removesuffix(" | tail -1)")).splitlines()[-1]
        elif not line.startswith("#"):
            assert line.startswith("curl -s ")
            answers.append(_curl(line.replace("$KEY", key).replace("http://127.0.0.1:8000", api)))

    stored, found, runs, live, ready, metrics = answers
    assert stored.status_code == 201
    assert [event["id"] for event in found.json()["data"]] == [stored.json()["id"]]
    assert runs.json() == {"success": True, "data": [], "count": 0, "next": None}
    assert live.json()["status"] == "alive"
    assert ready.json()["status"] == "ready"
    for name in (
        "http_request_duration_ms_bucket",
        "database_query_duration_ms_bucket",
        "llm_request_duration_ms",
        "conversations_total",
        "active_sessions",
        "errors_total",
    ):
        assert name in metrics.text


def test_the_policies_of_the_readme_are_the_shipped_ones() -> None:
    shown = re.search(r"```yaml\n(.*?)```", (REPOSITORY / "README.md").read_text(), re.DOTALL)
    assert shown is not None
    shipped = (REPOSITORY / "policies.yaml").read_text()

    without_comments = [line for line in shipped.splitlines() if line and not line.startswith("#")]
    assert [line for line in shown[1].splitlines() if line] == without_comments


def _run(command: str) -> str:
    program, *arguments = shlex.split(command)
    assert program == ".venv/bin/opsctl"
    return subprocess.run(
        [str(PROGRAMS / "opsctl"), *arguments], capture_output=True, text=True, check=True
    ).stdout


def _curl(command: str) -> httpx.Response:
    """Sends curl's request without curl."""
    _, _, *words = shlex.split(command)
    headers: dict[str, str] = {}
    body: str | None = None
    address = ""
    while words:
        word = words.pop(0)
        if word == "-H":
            name, _, value = words.pop(0).partition(": ")
            headers[name] = value
        elif word == "-d":
            body = words.pop(0)
            json.loads(body)
        else:
            address = word
    answer = httpx.request("GET" if body is None else "POST", address, headers=headers, content=body)
    answer.raise_for_status()
    return answer

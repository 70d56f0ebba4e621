"""A code server whose policies.yaml is broken is unhealthy, the webhook says so, and nothing old is kept."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from dagster._grpc.client import DagsterGrpcClient

from ops_pipeline.postgres.connection import Connection
from tests.eventually import eventually
from tests.integration.orchestration.conftest import POLICIES
from tests.integration.orchestration.receiver import receiving
from tests.system.test_services import _free_port

CHECK = Path(__file__).parents[2] / "deploy" / "code_healthcheck.py"
DAGSTER = Path(sys.executable).parent / "dagster"
TYPO = POLICIES.replace("keep:", "keeep:")


@contextmanager
def _code_server(port: int, environment: dict[str, str], log: Path) -> Iterator[None]:
    command = [str(DAGSTER), "code-server", "start", "-m", "ops_pipeline.definitions", "-p", str(port)]
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=output)
    try:
        yield
    finally:
        process.terminate()
        process.wait(timeout=60)


def _checked(port: int, environment: dict[str, str]) -> tuple[int, str]:
    checked = subprocess.run(
        [sys.executable, str(CHECK), str(port)], env=environment, capture_output=True, text=True, check=False
    )
    return checked.returncode, checked.stderr


@pytest.mark.prove
def test_a_code_server_with_a_broken_file_is_unhealthy_until_it_is_corrected(
    url: str, connection: Connection, tmp_path: Path
) -> None:
    file, port = tmp_path / "policies.yaml", _free_port()
    file.write_text(TYPO)
    with receiving() as receiver:
        environment = {
            **os.environ,
            "OPS_DATABASE_URL": url,
            "OPS_POLICIES": str(file),
            "OPS_WEBHOOK_URL": receiver.url,
            "DAGSTER_HOME": str(tmp_path),
        }
        with _code_server(port, environment, tmp_path / "code.log"):
            eventually(lambda: "cannot be loaded" in _checked(port, environment)[1], seconds=120)
            code, said = _checked(port, environment)
            assert (code, "keeep" in said) == (1, True)
            assert [message["event"] for message in receiver.got] == ["maintenance_policies_unreadable"]

            client = DagsterGrpcClient(port=port, host="localhost")
            file.write_text(POLICIES)
            client.reload_code(timeout=120)
            assert _checked(port, environment) == (0, "")

            # An earlier version is not kept: after the next reload there are no definitions.
            file.unlink()
            client.reload_code(timeout=120)
            code, said = _checked(port, environment)
            assert (code, "cannot be read" in said) == (1, True)
            assert len(receiver.got) == 2
    assert _checked(port, environment)[0] == 1

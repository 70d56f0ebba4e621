"""The image and the compose file have what a deployment relies on; they are read without an engine."""

import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from ops_pipeline.settings import Settings

REPOSITORY = Path(__file__).parents[2]
DOCKERFILE = (REPOSITORY / "Dockerfile").read_text()


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = YAML(typ="safe").load(REPOSITORY / "docker-compose.yml")
    return loaded


def test_everything_the_image_is_made_from_exists_and_is_not_ignored() -> None:
    allowed = {
        line.removeprefix("!")
        for line in (REPOSITORY / ".dockerignore").read_text().splitlines()
        if line.startswith("!")
    }
    copied = [
        source
        for line in re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.MULTILINE)
        for source in line.split()[:-1]
    ]

    assert len(copied) > 5
    for source in copied:
        assert (REPOSITORY / source).exists(), source
        assert source.split("/")[0] in allowed, source


def test_the_image_runs_without_root_and_checks_its_own_health() -> None:
    last_stage = DOCKERFILE.rsplit("FROM ", 1)[1]

    assert re.search(r"^USER ops$", last_stage, re.MULTILINE)
    assert 'CMD ["python", "-m", "api"]' in last_stage
    assert "--interval=30s --timeout=10s --start-period=5s --retries=3" in last_stage
    assert all("--require-hashes" in line or "--no-deps" in line for line in _installs())


def _installs() -> list[str]:
    return [line for line in DOCKERFILE.splitlines() if "pip install" in line or "pip wheel" in line]


def test_nothing_is_published_beyond_this_machine(compose: dict[str, Any]) -> None:
    ports = [port for service in compose["services"].values() for port in service.get("ports", [])]

    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_no_password_has_a_default(compose: dict[str, Any]) -> None:
    text = (REPOSITORY / "docker-compose.yml").read_text()

    required, optional = ("POSTGRES_PASSWORD", ":?"), ("OPS_ARCHIVE_URL", ":-")
    assert set(re.findall(r"\$\{(\w+)(:?.)", text)) == {required, optional}
    environment = compose["services"]["api"]["environment"]
    assert environment["OPS_DAGSTER_DATABASE_URL"].startswith("postgresql+psycopg2://")


@pytest.mark.parametrize("service", ["api", "code", "daemon"])
def test_a_service_gets_more_time_to_stop_than_it_needs(compose: dict[str, Any], service: str) -> None:
    grace = int(compose["services"][service]["stop_grace_period"].removesuffix("s"))

    assert grace > Settings().shutdown_timeout_seconds


@pytest.mark.parametrize("service", ["api", "code", "webserver", "daemon"])
def test_the_archive_outlives_the_containers(compose: dict[str, Any], service: str) -> None:
    settings = compose["services"][service]["environment"]
    mounted = _mounted(compose, service)

    assert settings["OPS_ARCHIVE_URL"] == "${OPS_ARCHIVE_URL:-/opt/ops/archive}"
    assert mounted["/opt/ops/archive"] == "archive"
    assert "archive" in compose["volumes"], "a named volume is kept when the containers are made again"
    assert "install -d -o ops -g ops /opt/ops /opt/ops/archive" in DOCKERFILE, "or it belongs to root"


@pytest.mark.parametrize("service", ["migrate", "api", "code", "webserver", "daemon"])
def test_every_service_reads_the_same_policies_and_settings(compose: dict[str, Any], service: str) -> None:
    declared = compose["services"][service]

    assert declared["environment"]["OPS_POLICIES"] == "/opt/ops/policies.yaml"
    assert _mounted(compose, service)["/opt/ops/policies.yaml"] == "./policies.yaml"
    assert declared["env_file"] == [{"path": ".env", "required": False}]


def _mounted(compose: dict[str, Any], service: str) -> dict[str, str]:
    """The mounts of the service, by their path in the container."""
    volumes = [volume.split(":") for volume in compose["services"][service].get("volumes", [])]
    return {target: source for source, target, *_ in volumes}


def test_each_service_waits_for_what_it_needs(compose: dict[str, Any]) -> None:
    services = compose["services"]
    waits = {
        name: {needed: how["condition"] for needed, how in service.get("depends_on", {}).items()}
        for name, service in services.items()
    }

    assert waits == {
        "postgres": {},
        "migrate": {"postgres": "service_healthy"},
        "api": {"migrate": "service_completed_successfully"},
        "code": {"migrate": "service_completed_successfully"},
        "webserver": {"code": "service_healthy"},
        "daemon": {"code": "service_healthy"},
    }
    (location,) = YAML(typ="safe").load(REPOSITORY / "deploy" / "workspace.yaml")["load_from"]
    assert location["grpc_server"]["host"] in services
    assert str(location["grpc_server"]["port"]) in services["code"]["command"]


@pytest.mark.parametrize(("status", "code"), [(200, 0), (503, 1), (None, 1)])
def test_the_health_check_passes_only_when_the_api_is_alive(status: int | None, code: int) -> None:
    with _answering(status) as port:
        checked = subprocess.run(
            [sys.executable, str(REPOSITORY / "deploy" / "healthcheck.py")],
            env={**os.environ, "OPS_API_PORT": str(port), "http_proxy": "http://127.0.0.1:1"},
            capture_output=True,
            text=True,
            check=False,
        )

    assert checked.returncode == code
    assert "Traceback" not in checked.stderr


@contextmanager
def _answering(status: int | None) -> Iterator[int]:
    """A server that answers /health/live with that status; None: no server listens there."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if status and self.path == "/health/live" else 404)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    port = int(server.server_address[1])
    if status is None:
        server.server_close()
        yield port
        return
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()

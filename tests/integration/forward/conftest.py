"""A receiver with TLS, and `opsctl forward` to it, in this process or in one of its own."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import structlog

from ops_pipeline.forward import forwarder
from ops_pipeline.postgres.connection import Connection
from tests.integration.conftest import Done
from tests.integration.forward.siem import Siem, make_certificate, serving

MAKE = (
    "INSERT INTO audit_logs (event_type, action)"
    " SELECT 'made', n::text FROM generate_series(%s::int, %s::int) n"
)


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file that the receiver's certificate is in."""
    return make_certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture
def siem(certificate: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Siem]:
    """A receiver, trusted by what is started from here; the settings have the database of `url`."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    monkeypatch.setenv("OPS_DATABASE_URL", url)
    with serving(certificate.parent) as siem:
        yield siem


@pytest.fixture
def once(
    siem: Siem, opsctl: Callable[..., Done], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Done]]:
    """Runs `opsctl forward --once --name siem` in this process; pauses between tries are short."""
    monkeypatch.setattr(forwarder, "FIRST_PAUSE_SECONDS", 0.01)

    def run(*words: str) -> Done:
        return opsctl("forward", "--to", siem.url, "--name", "siem", "--once", *words)

    yield run
    structlog.reset_defaults()


@pytest.fixture
def started(siem: Siem, tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts `opsctl forward --name siem` as a process of its own; its log is `forward.log`."""
    processes: list[subprocess.Popen[str]] = []

    def start(*words: str) -> subprocess.Popen[str]:
        (tmp_path / "policies.yaml").write_text("version: 1\ndatabases: {}\n")
        with (tmp_path / "forward.log").open("a") as log:
            processes.append(
                subprocess.Popen(
                    [sys.executable, "-c", "from ops_pipeline.cli import main; main()", "forward",
                     "--to", siem.url, "--name", "siem", *words],
                    cwd=tmp_path, env=dict(os.environ), stdout=log, stderr=log, text=True,
                )
            )  # fmt: skip
        return processes[-1]

    yield start
    for process in processes:
        with suppress(ProcessLookupError):
            process.kill()
        process.wait(timeout=30)


@pytest.fixture
def make(connection: Connection) -> Callable[[int, int], None]:
    """Stores events whose actions are these numbers, each by a statement of its own."""

    def store(first: int, last: int) -> None:
        for number in range(first, last + 1):
            connection.execute(MAKE, [number, number])

    return store

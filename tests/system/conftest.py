"""A folder as a new user has it, with its own server."""

import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
PROGRAMS = Path(sys.executable).parent

Opsctl = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="package")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where `opsctl` runs; it has packages of its own, which must not be imported."""
    made = tmp_path_factory.mktemp("checkout")
    shutil.copy(REPOSITORY / "policies.yaml", made)
    for package in ("ops_pipeline", "yaml"):
        (made / package).mkdir()
        (made / package / "__init__.py").write_text("raise SystemExit('imported from the current folder')")
    return made


@pytest.fixture
def opsctl(folder: Path) -> Opsctl:
    """Runs `opsctl` in that folder, as a person or a script would."""

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(PROGRAMS / "opsctl"), *arguments], cwd=folder, capture_output=True, text=True, check=False
        )

    return run


@pytest.fixture
def free_port() -> Callable[[], int]:
    def find() -> int:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            return int(probe.getsockname()[1])

    return find

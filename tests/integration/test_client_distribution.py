"""An application installs the client alone, without Ops Pipeline, and posts events with it."""

import importlib.metadata
import re
import shutil
import subprocess
import sys
import tomllib
import venv
import zipfile
from pathlib import Path
from typing import Any

import pytest

from ops_pipeline.access import keys
from ops_pipeline.postgres.connection import Connection
from tests.api_process import free_port, serving

REPOSITORY = Path(__file__).parents[2]
PROJECT: dict[str, Any] = tomllib.loads((REPOSITORY / "client" / "pyproject.toml").read_text())["project"]
SERVER: dict[str, Any] = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]

APPLICATION = """
import sys
from pathlib import Path
from ops_pipeline_client import AuditClient, AuditEvent

with AuditClient(sys.argv[1], sys.argv[2], Path(sys.argv[3])) as audit:
    for line in sys.stdin:
        if line == "flush\\n":
            print(audit.flush(60), flush=True)
        else:
            print(audit.log(AuditEvent(event_type=line.strip())), flush=True)
"""
CONSUMER = """
from pathlib import Path
from uuid import UUID
from ops_pipeline_client import AuditClient, AuditEvent, EventError, SpoolFullError, SpoolInUseError

def log(audit: AuditClient) -> UUID:
    reveal_type(audit)
    return audit.log(AuditEvent(event_type="a", details={"b": 1}))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _built(REPOSITORY / "client", tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty virtual environment in which the client and what it requires were installed."""
    environment = tmp_path_factory.mktemp("application") / "venv"
    venv.create(environment)
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", _python(environment))
    _run(*pip, "install", "--no-index", "--no-deps", wheel)
    for requirement in PROJECT["dependencies"]:
        _copy_installed(re.split("[<>=]", requirement)[0], _site_packages(environment))
    _run(*pip, "check")
    return environment


def test_nothing_but_the_client_and_msgspec_lands_in_an_environment(environment: Path) -> None:
    names = {path.name for path in _site_packages(environment).iterdir()}

    assert {name for name in names if not name.endswith(".dist-info")} == {"ops_pipeline_client", "msgspec"}
    assert (_site_packages(environment) / "ops_pipeline_client" / "py.typed").exists()
    for name in ("ops_pipeline", "api", "sql", "dagster"):
        asked = f"import importlib.util; print(importlib.util.find_spec({name!r}))"
        assert _run(_python(environment), "-I", "-c", asked) == "None\n"


def test_events_of_an_application_arrive_whether_the_api_is_there_or_not(
    environment: Path, url: str, connection: Connection, tmp_path: Path
) -> None:
    key = keys.create(connection, "application", ["audit:write"]).key
    port = free_port()
    said: list[str] = []
    with subprocess.Popen(
        [_python(environment), "-I", "-c", APPLICATION, f"http://127.0.0.1:{port}", key, tmp_path / "spool"],
        cwd=tmp_path,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as application:
        assert application.stdin is not None
        assert application.stdout is not None

        def answer(line: str) -> str:
            assert application.stdin is not None
            assert application.stdout is not None
            print(line, file=application.stdin, flush=True)
            return application.stdout.readline().strip()

        said.append(answer("before"))
        with serving(url, tmp_path, port) as api:
            assert answer("flush") == "True"
            said.append(answer("during"))
            assert answer("flush") == "True"
            api.kill()
        said.append(answer("while it is away"))
        with serving(url, tmp_path, port):
            assert answer("flush") == "True"
        application.stdin.close()
        assert application.wait(30) == 0

    stored = connection.execute(
        "SELECT id::text, event_type FROM audit_logs WHERE event_type <> 'audit_access' ORDER BY created_at"
    ).fetchall()
    assert stored == list(zip(said, ["before", "during", "while it is away"], strict=True))


def test_its_types_are_known_to_an_application(environment: Path, tmp_path: Path) -> None:
    (tmp_path / "consumer.py").write_text(CONSUMER)

    checked = _run(
        sys.executable, "-m", "mypy", "--strict", "--python-executable", _python(environment),
        "--cache-dir", tmp_path / "cache", "consumer.py", folder=tmp_path,
    )  # fmt: skip

    assert '"ops_pipeline_client.client.AuditClient"' in checked


def test_its_source_distribution_has_the_same_code(wheel: Path, tmp_path: Path) -> None:
    command = "import hatchling.build, sys; hatchling.build.build_sdist(sys.argv[1])"
    _run(sys.executable, "-c", command, tmp_path, folder=REPOSITORY / "client")
    (source,) = tmp_path.glob("*.tar.gz")

    assert _content(_built(source, tmp_path / "wheel")) == _content(wheel)


def test_it_is_released_with_the_server_under_the_same_license() -> None:
    shared = ("version", "license", "license-files")

    assert [PROJECT[field] for field in shared] == [SERVER[field] for field in shared]
    assert set(PROJECT["dependencies"]) <= set(SERVER["dependencies"])
    assert (REPOSITORY / "client" / "LICENSE").read_bytes() == (REPOSITORY / "LICENSE").read_bytes()


def _built(source: Path, folder: Path) -> Path:
    """The wheel of a project, built offline."""
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check")
    _run(*pip, "wheel", "--no-index", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, source)
    (built,) = folder.glob("*.whl")
    return built


def _content(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def _run(*command: str | Path, folder: Path = REPOSITORY) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _python(environment: Path) -> Path:
    return environment / "bin" / "python"


def _site_packages(environment: Path) -> Path:
    (packages,) = environment.glob("lib/python*/site-packages")
    return packages


def _copy_installed(name: str, target: Path) -> None:
    """Installs a distribution of this environment in another one, without an index."""
    for file in importlib.metadata.files(name) or []:
        if ".." not in file.parts and "__pycache__" not in file.parts:
            (target / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(file.locate(), target / file)

"""Without OPS_DATABASE_URL only the demo and `opsctl up` start, so that no event ends up in `.local`."""

import importlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ops_pipeline import cli, settings

REPOSITORY = Path(__file__).parents[2]
COMMANDS = [
    ["migrate"],
    ["plan"],
    ["status"],
    ["history"],
    ["check"],
    ["run"],
    ["approve"],
    ["adopt", "events"],
    ["import", "cloudtrail", "events.json"],
    ["keys", "create", "--name", "me", "--scope", "audit:read"],
    ["hold", "list"],
    ["archive", "list"],
    ["archive", "verify"],
    ["track", "list"],
]
Opsctl = Callable[..., tuple[int, str]]


@pytest.fixture(autouse=True)
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory as a user has it."""
    shutil.copy(REPOSITORY / "policies.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def opsctl(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Opsctl]:
    """Runs the program: exit code and standard error."""
    handlers = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)}

    def run(*arguments: str) -> tuple[int, str]:
        monkeypatch.setattr("sys.argv", ["opsctl", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return int(ended.value.code or 0), capsys.readouterr().err

    yield run
    for each, handler in handlers.items():
        signal.signal(each, handler)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_command_is_refused_and_starts_nothing(command: list[str], opsctl: Opsctl, checkout: Path) -> None:
    code, said = opsctl(*command)

    assert code == 2
    assert "OPS_DATABASE_URL is not set; nothing was started" in said
    assert "export OPS_DATABASE_URL=postgresql://" in said
    assert "opsctl --embedded" in said
    assert not (checkout / ".local").exists()


def test_the_api_is_refused_and_starts_nothing(checkout: Path) -> None:
    api = subprocess.run(
        [sys.executable, "-m", "api"], capture_output=True, text=True, check=False, env=dict(os.environ)
    )

    assert api.returncode == 2
    assert api.stderr.startswith("The API cannot start: OPS_DATABASE_URL is not set; nothing was started")
    assert not (checkout / ".local").exists()


def test_dagsters_code_location_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "ops_pipeline.definitions", raising=False)

    with pytest.raises(settings.SettingsError, match="export OPS_DATABASE_URL=postgresql://"):
        importlib.import_module("ops_pipeline.definitions")


def test_the_embedded_server_and_a_database_url_exclude_each_other(
    opsctl: Opsctl, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPS_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/app")

    code, said = opsctl("--embedded", "plan")

    assert (code, "unset OPS_DATABASE_URL" in said) == (2, True)
    assert not (checkout / ".local").exists()

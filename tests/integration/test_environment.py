"""Setting up the environment says how far it is, and what pip said if it fails."""

import runpy
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[2] / "deploy" / "environment.py"
SLOW_PIP = """
import time
print("Collecting boto3==1.2 (from -r x.lock (line 3))", flush=True); time.sleep(1)
print("Collecting dagster==1.13", flush=True); time.sleep(1)
print("Installing collected packages: boto3, dagster", flush=True); time.sleep(1)
"""


@pytest.fixture
def script() -> dict[str, Any]:
    return runpy.run_path(str(SCRIPT))


def test_an_installation_counts_packages_and_says_that_it_installs(
    script: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    installation = script["Installation"](2)
    installation.run.__globals__["IN_A_PIPE_SECONDS"] = 0.3

    assert installation.run([sys.executable, "-c", SLOW_PIP]) == 0

    said = capsys.readouterr()
    for step in (
        "package 1 of about 2: boto3 (",
        "package 2 of about 2: dagster (",
        "Installing the packages (",
    ):
        assert step in said.out
    assert said.err == ""


def test_an_installation_that_fails_shows_what_pip_said(
    script: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    failing = "print('ERROR: No matching distribution'); raise SystemExit(3)"

    assert script["Installation"](2).run([sys.executable, "-c", failing]) == 3
    assert "ERROR: No matching distribution" in capsys.readouterr().err

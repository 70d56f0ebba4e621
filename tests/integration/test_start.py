"""`opsctl` starts at once: it imports only what the command needs."""

import subprocess
import sys

import pytest

HEAVY = {
    "adbc_driver_postgresql",
    "dagster",
    "httpx",
    "litestar",
    "psycopg",
    "pyarrow",
    "pydantic",
    "uvicorn",
}
PROGRAM = """
import sys
sys.argv[0] = "opsctl"
from ops_pipeline.cli import main
try:
    main()
finally:
    print(*sorted(sys.modules), file=sys.stderr)
"""


def _imported(*words: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *words], capture_output=True, text=True, check=False
    )
    assert "Usage: opsctl" in done.stdout, done.stdout
    return set(done.stderr.split())


@pytest.mark.parametrize("words", [["--help"], []])
def test_help_imports_no_database_driver_dagster_api_or_arrow(words: list[str]) -> None:
    imported = _imported(*words)

    assert "ops_pipeline.cli.commands" in imported
    assert not imported & HEAVY


@pytest.mark.parametrize("command", ["plan", "status", "approve"])
def test_a_command_that_reads_imports_no_dagster_api_or_arrow(command: str) -> None:
    imported = _imported(command, "--help")

    assert f"ops_pipeline.cli.{command}" in imported
    assert not imported & (HEAVY - {"psycopg", "pydantic"})

"""The API starts without Dagster, which takes most of a second and 66 MB."""

import subprocess
import sys


def test_the_api_starts_without_dagster() -> None:
    program = (
        "import sys, api.app, api.server; print(sorted(m for m in sys.modules if m.startswith('dagster')))"
    )

    imported = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert imported.stdout.strip() == "[]"

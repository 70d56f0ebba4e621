"""The API starts without Dagster, which takes most of a second and 66 MB, and without Arrow."""

import subprocess
import sys

HEAVY = ("dagster", "pyarrow", "adbc_driver_manager", "adbc_driver_postgresql")


def test_the_api_starts_without_what_only_maintenance_needs() -> None:
    program = (
        f"import sys, api.app, api.server; print(sorted(m for m in sys.modules if m.startswith({HEAVY!r})))"
    )

    imported = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert imported.stdout.strip() == "[]"

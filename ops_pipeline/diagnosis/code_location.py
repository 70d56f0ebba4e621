"""A code location that Dagster cannot load."""

import subprocess
import sys
from collections.abc import Iterator
from typing import LiteralString

from ops_pipeline.diagnosis.diagnosis import Diagnosis, Installation
from ops_pipeline.finding import Finding
from ops_pipeline.settings import Settings, environment

# Not ops_pipeline.definitions: that one reports invalid policies to the webhook.
LOAD: LiteralString = (
    "from ops_pipeline import settings; from ops_pipeline.orchestration.definitions import load_definitions; "
    "load_definitions(settings.load()).get_repository_def()"
)
LIMIT_SECONDS = 60.0
"""Dagster ends a code server that takes three times as long."""


def load(resolved: Settings) -> str | None:
    """Loads the code location in a process of its own; why it cannot be loaded, or None."""
    try:
        loaded = subprocess.run(
            [sys.executable, "-c", LOAD],
            env={**environment(resolved), "OPS_POLICIES": str(resolved.policies.absolute())},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LIMIT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"it was not loaded within {LIMIT_SECONDS:g} s"
    lines = loaded.stderr.strip().splitlines()
    if loaded.returncode == 0:
        return None
    return lines[-1] if lines else f"the process ended with {loaded.returncode}"


def _look(installation: Installation) -> Iterator[Finding]:
    if problem := installation.load_location(installation.settings):
        yield Finding(
            "ops_pipeline.definitions",
            f"Dagster cannot load the code location, so no nightly run starts: {problem}. To see all of it",
            (f"{sys.executable} -c '{LOAD}'",),
        )


CODE_LOCATION = Diagnosis(
    id="code_location",
    severity="error",
    question="Can Dagster load the code location?",
    remedy="Correct what the error names, in `policies.yaml`, the environment or the installation, then "
    "reload the code location in the Dagster UI (Deployment).",
    look=_look,
)

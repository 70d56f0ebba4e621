"""A policies file that cannot be read."""

from collections.abc import Iterator

from ops_pipeline.diagnosis.diagnosis import Diagnosis, Installation
from ops_pipeline.finding import Finding
from ops_pipeline.policies.file import PolicyError


def _look(installation: Installation) -> Iterator[Finding]:
    if isinstance(installation.policies, PolicyError):
        for problem in installation.policies.problems:
            yield Finding(
                str(installation.settings.policies), f"{problem}. No policy runs until this is corrected"
            )


POLICIES_FILE = Diagnosis(
    id="policies_file",
    severity="error",
    question="Can policies.yaml be read?",
    remedy="Correct the line that the problem names, or set `OPS_POLICIES` to the file's path "
    "([keys](policies.md)).",
    look=_look,
)

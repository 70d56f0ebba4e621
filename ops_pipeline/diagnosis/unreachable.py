"""A database that does not answer."""

from collections.abc import Iterator

from ops_pipeline.diagnosis.diagnosis import Diagnosis
from ops_pipeline.finding import Finding
from ops_pipeline.postgres.connection import (
    DatabaseUnavailableError,
    EncodingRefusedError,
    PoolerRefusedError,
    describe,
)


def _explain(url: str, error: DatabaseUnavailableError) -> Iterator[Finding]:
    if not isinstance(error, EncodingRefusedError | PoolerRefusedError):
        yield Finding(describe(url), f"{str(error).strip()}. Nothing else of it could be asked")


UNREACHABLE = Diagnosis(
    id="unreachable",
    severity="error",
    question="Does the database take our connection?",
    remedy="Start the server, or correct `url` in policies.yaml and the variables it names; the problem has "
    "what the server or the network said.",
    explain=_explain,
)

"""Databases to which no connection can be made."""

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
        yield Finding(describe(url), f"{error}. The other questions about this database were not asked")


UNREACHABLE = Diagnosis(
    id="unreachable",
    severity="error",
    question="Can Ops Pipeline connect to the database?",
    remedy="Start the server, or correct `url` in policies.yaml and the variables it names; the problem "
    "contains the message of the server or the network.",
    explain=_explain,
)

"""Connections through a pooler in transaction or statement mode."""

from collections.abc import Iterator

from ops_pipeline.diagnosis.diagnosis import Diagnosis
from ops_pipeline.finding import Finding
from ops_pipeline.postgres.connection import DatabaseUnavailableError, PoolerRefusedError, describe


def _explain(url: str, error: DatabaseUnavailableError) -> Iterator[Finding]:
    if isinstance(error, PoolerRefusedError):
        yield Finding(describe(url), str(error))


POOLER = Diagnosis(
    id="pooler",
    severity="error",
    question="Does each session of Ops Pipeline have a server session of its own?",
    remedy="Set the URL to the server's own address, or to an entry of the pooler with `pool_mode = session` "
    "([poolers](../deploy.md#connection-poolers)).",
    explain=_explain,
)

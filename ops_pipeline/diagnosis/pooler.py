"""A pooler that lends its sessions for a transaction at a time."""

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
    question="Is every session of ours one session of the server?",
    remedy="Put the server's own address into the URL, or an entry of the pooler with `pool_mode = session` "
    "([poolers](../deploy.md#connection-poolers)).",
    explain=_explain,
)

"""Tables that are partitioned by time: partitions made before a row needs them, and removed whole.

`ahead` creates, `strays` brings rows home, `pending` completes what was interrupted, `expired` chooses,
`drop` removes. Each keeps to short locks, and gives up with a reason rather than queue in front of others.
"""

from ops_pipeline.maintenance.partitions.ahead import DAYS_AHEAD, ensure_ahead, ensure_days
from ops_pipeline.maintenance.partitions.locks import LockedError
from ops_pipeline.maintenance.partitions.partition import (
    NotPartitionedError,
    Partition,
    Partitioned,
    existing,
    key,
    partitioned,
)
from ops_pipeline.maintenance.partitions.strays import StraysStayError

__all__ = [
    "DAYS_AHEAD",
    "LockedError",
    "NotPartitionedError",
    "Partition",
    "Partitioned",
    "StraysStayError",
    "ensure_ahead",
    "ensure_days",
    "existing",
    "key",
    "partitioned",
]

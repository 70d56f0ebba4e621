"""The health check of `opsctl forward`: whether a target is behind. It also sets the targets' metric."""

from collections.abc import Callable, Mapping

import sql
from api.health.check import OK, Finding
from api.health.connection import HealthConnection
from ops_pipeline.counted import duration, listed
from ops_pipeline.forward.position import LATE

RecordTargets = Callable[[Mapping[str, float]], None]
"""Takes for how many seconds each target is behind, by its name."""


class ForwardCheck:
    """Looks the targets up in `connection`'s database and hands their delay to `record`."""

    def __init__(self, connection: HealthConnection, record: RecordTargets) -> None:
        self._connection = connection
        self._record = record

    async def __call__(self) -> Finding:
        """Whether no target is behind for over an hour. Raises psycopg.Error."""
        rows = await self._connection.rows(sql.get("forward/targets"))
        behind = {name: seconds for name, _, _, seconds, *_ in rows}
        self._record(behind)
        if not behind:
            return Finding("not_configured", "no events are forwarded")
        late = [
            f"{name} ({duration(seconds)})"
            for name, seconds in behind.items()
            if seconds > LATE.total_seconds()
        ]
        if not late:
            return OK
        return Finding("error", f"behind: {listed(late)}. See the log of opsctl forward, or start it")

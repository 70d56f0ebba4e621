"""The health check of the API keys: whether one expires soon. It also sets the metrics of the keys."""

from collections.abc import Callable
from datetime import datetime

import sql
from api.health.check import OK, Finding
from api.health.connection import HealthConnection
from ops_pipeline.access import expiring

RecordKeys = Callable[[float, datetime | None], None]
"""Takes how many keys expire soon, and when the next one does."""
MOST_NAMED = 5


class KeyCheck:
    """Looks the keys up in `connection`'s database and hands their numbers to `record`."""

    def __init__(self, connection: HealthConnection, record: RecordKeys) -> None:
        self._connection = connection
        self._record = record

    async def __call__(self) -> Finding:
        """Whether no valid key expires within a month. Raises psycopg.Error."""
        rows = await self._connection.rows(sql.get("access/expiring"), expiring.VALUES)
        ((next_expiry,),) = await self._connection.rows(sql.get("access/next_expiry"))
        # One that has expired is a question of `opsctl doctor`: nothing is going to happen any more.
        soon = [key for key in expiring.read(rows) if not key.expired]
        self._record(len(soon), next_expiry)
        if not soon:
            return OK
        named = [f"{key.in_words}: {key.remedy}" for key in soon[:MOST_NAMED]]
        more = [f"and {len(soon) - MOST_NAMED} more: opsctl doctor"] if len(soon) > MOST_NAMED else []
        return Finding("error", "; ".join(named + more))

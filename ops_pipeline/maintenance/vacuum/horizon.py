"""Finds the sessions that prevent VACUUM from removing dead rows: they hold an old snapshot.

VACUUM removes a row version only when it died before the oldest snapshot in use. PostgreSQL shows these in
four places: open transactions, prepared transactions, replication slots, and standbys with
hot_standby_feedback (PostgreSQL's documentation, "Routine Vacuuming" and "Hot Standby").
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import sql
from ops_pipeline.counted import duration
from ops_pipeline.postgres.connection import Connection, scalar

HolderKind = Literal[
    "transaction", "idle in transaction", "prepared transaction", "replication slot", "standby"
]

NAMED = 3
"""How many of them a message names."""
QUERY_CHARACTERS = 200
HIDDEN = "<insufficient privilege>"
"""PostgreSQL's query of a session that the login may not see."""


@dataclass(frozen=True, slots=True)
class Holder:
    """A session, prepared transaction, slot or standby that holds back VACUUM.

    `age`: the age of its snapshot in transactions; `seconds`: how long it has been open. `name`: a session's
    application, or the name of the prepared transaction or slot. `system_only`: it holds back system catalogs
    only.
    """

    kind: HolderKind
    name: str
    pid: int | None
    user: str | None
    age: int
    seconds: float | None
    query: str | None
    system_only: bool = False

    @property
    def remedy(self) -> str:
        """The statement that ends it, or a comment where another person has to decide first: what a prepared
        transaction has changed, and the position of a slot, cannot be brought back."""
        name = _literal(self.name)
        match self.kind:
            case "prepared transaction":
                return f"-- as its owner decides: COMMIT PREPARED {name}; or ROLLBACK PREPARED {name};"
            case "replication slot" if self.pid is None:
                return f"-- if its consumer no longer exists: SELECT pg_drop_replication_slot({name});"
            case "replication slot" | "standby":
                return "-- end the long query on the standby, or wait until the consumer has caught up"
            case _:
                return f"SELECT pg_terminate_backend({self.pid});"

    def __str__(self) -> str:
        known = [
            f"user {self.user}" if self.user else "",
            self.name if self.pid is not None and self.kind != "replication slot" else "",
            f"open for {duration(self.seconds)}" if self.seconds is not None else "",
            f"snapshot {self.age:,} transactions old",
        ]
        who = f'"{self.name}"' if self.pid is None or self.kind == "replication slot" else f"pid {self.pid}"
        if self.query == HIDDEN:
            query = ", of which this login may not see more: that takes membership in pg_read_all_stats"
        else:
            query = f": {' '.join(self.query.split())[:QUERY_CHARACTERS]}" if self.query else ""
        return f"{self.kind} {who} ({', '.join(filter(None, known))}){query}"


def next_transaction(connection: Connection) -> int:
    """The next transaction id; rows that are dead now were deleted by lower ones."""
    return int(scalar(connection, sql.get("maintenance/vacuum/next_transaction")))


def find_holders(connection: Connection, *, since: int | None = None, system: bool = True) -> list[Holder]:
    """What holds back VACUUM in this database, the oldest snapshot first.

    `since`: only those older than that transaction id (from `next_transaction`). Without `system`, those that
    hold back system catalogs only are left out.
    """
    rows = connection.execute(sql.get("maintenance/vacuum/holders"), {"since": since})
    return [holder for holder in (Holder(*row) for row in rows) if system or not holder.system_only]


def named(holders: Sequence[Holder]) -> str:
    """The oldest of them, in words."""
    more = f" and {len(holders) - NAMED} more" if len(holders) > NAMED else ""
    return ", ".join(map(str, holders[:NAMED])) + more


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"

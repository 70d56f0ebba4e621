"""Who keeps dead rows from being removed: whatever may still see them, or might ask for them.

VACUUM removes a row version only when it died before the oldest transaction that anybody holds on to. Who
that is stands in four places: open transactions, prepared ones, replication slots, and standbys that tell
the primary what their queries still read (PostgreSQL's documentation, "Routine Vacuuming" and
"Hot Standby").
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import sql
from ops_pipeline.postgres.connection import Connection, scalar

HolderKind = Literal[
    "transaction", "idle in transaction", "prepared transaction", "replication slot", "standby"
]

NAMED = 3
"""How many a message names."""
QUERY_CHARACTERS = 200


@dataclass(frozen=True, slots=True)
class Holder:
    """One that holds back. `age`: how many transactions it reaches back; `seconds`: for how long.

    `name` is what it is ended by or known by: a session's application, a prepared transaction's or a
    slot's own name. `system_only`: it holds back PostgreSQL's own tables and no others.
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
        """How to end it, once somebody knows that it may go."""
        match self.kind:
            case "prepared transaction":
                return f"ROLLBACK PREPARED {_literal(self.name)} (or COMMIT PREPARED)"
            case "replication slot" if self.pid is None:
                return f"SELECT pg_drop_replication_slot({_literal(self.name)}), unless its reader comes back"
            case "replication slot" | "standby":
                return "end the long query on the standby, or let its reader catch up"
            case _:
                return f"SELECT pg_terminate_backend({self.pid})"

    def __str__(self) -> str:
        known = [
            f"user {self.user}" if self.user else "",
            self.name if self.pid is not None and self.kind != "replication slot" else "",
            f"open for {_duration(self.seconds)}" if self.seconds is not None else "",
            f"{self.age:,} transactions back",
        ]
        who = f'"{self.name}"' if self.pid is None or self.kind == "replication slot" else f"pid {self.pid}"
        query = f": {' '.join(self.query.split())[:QUERY_CHARACTERS]}" if self.query else ""
        return f"{self.kind} {who} ({', '.join(filter(None, known))}){query}"


def next_transaction(connection: Connection) -> int:
    """The next transaction id: whatever has died so far has a lower one."""
    return int(scalar(connection, sql.get("maintenance/vacuum/next_transaction")))


def find_holders(connection: Connection, *, since: int | None = None, system: bool = True) -> list[Holder]:
    """Who holds back this database, the one that reaches furthest back first.

    `since`: only those that reach back before that transaction id, as `next_transaction` gave it. Without
    `system` those that hold back nothing but PostgreSQL's own tables are left out.
    """
    rows = connection.execute(sql.get("maintenance/vacuum/holders"), {"since": since})
    return [holder for holder in (Holder(*row) for row in rows) if system or not holder.system_only]


def named(holders: Sequence[Holder]) -> str:
    """Those that reach furthest back, in words."""
    more = f" and {len(holders) - NAMED} more" if len(holders) > NAMED else ""
    return ", ".join(map(str, holders[:NAMED])) + more


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"

"""How far a target has come in the order of arrival, kept in the database."""

from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Self
from uuid import UUID

import sql
from ops_pipeline.counted import counted, duration
from ops_pipeline.forward.target import ForwardRefusedError, Target
from ops_pipeline.postgres.advisory_lock import lock_is_held
from ops_pipeline.postgres.connection import Connection, row, scalar

KEPT = timedelta(days=7) - timedelta(hours=1)
"""How old a position may be: a little less than migration 0026 keeps arrivals for a target."""
MARGIN = timedelta(days=1)
"""An event of a transaction that was open at a position's time may have arrived that long before it."""
LATE = timedelta(hours=1)
"""A target that is behind for longer is reported."""


class ForwardError(Exception):
    """Forwarding cannot go on. Nothing was skipped; the message says why, and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """A position between two snapshots, after an arrival's event, or in the log while `since` is given.

    Every event visible in `seen`, taken at `seen_at`, was delivered; those visible in `visible` are being
    delivered. `logged_created_at` is PostgreSQL's text, because it may be infinite.
    """

    seen: str
    seen_at: datetime
    visible: str
    visible_at: datetime
    transaction: str
    place: int = 0
    nth: int = 0
    since: datetime | None = None
    logged_created_at: str | None = None
    logged_id: UUID | None = None

    @classmethod
    def at(cls, snapshot: str, time: datetime, since: datetime | None = None) -> Self:
        """After everything that is visible in that snapshot; before it, events of the log since a time."""
        return cls(
            seen=snapshot, seen_at=time, visible=snapshot, visible_at=time,
            transaction=_oldest(snapshot), since=since,
        )  # fmt: skip

    @property
    def is_caught_up(self) -> bool:
        """Whether everything that was visible at the last look was delivered."""
        return self.since is None and self.seen == self.visible

    def looking(self, visible: str, time: datetime) -> Self:
        """The same position, with everything that is visible in that snapshot to deliver."""
        seen_at = time if visible == self.seen else self.seen_at
        return replace(self, visible=visible, visible_at=time, seen_at=seen_at)

    def caught_up(self) -> Self:
        """After everything that is visible."""
        return type(self).at(self.visible, self.visible_at)


@dataclass(frozen=True, slots=True)
class TargetState:
    """How a target stands. `is_running`: whether a process forwards to it now.

    `behind_seconds`: for how long events may wait to be delivered. `since`: while events of the log are
    delivered first, from when. `events`: acknowledged so far.
    """

    is_running: bool
    name: str
    host: str
    seen_at: datetime
    behind_seconds: float
    since: datetime | None
    events: int
    delivered_at: datetime | None

    @property
    def is_late(self) -> bool:
        """Whether a person has to look at it."""
        return self.behind_seconds > LATE.total_seconds()

    @property
    def in_words(self) -> str:
        """How far it has come, on one line."""
        began = f", events of the log since {_second(self.since)} first" if self.since is not None else ""
        behind = f"{duration(self.behind_seconds)} behind" if self.behind_seconds >= 60 else "up to date"
        running = "" if self.is_running else "; no process forwards to it now"
        return f"{self.name} to {self.host}: {behind}{began}, {counted(self.events, 'event')} so far{running}"


def now(connection: Connection) -> tuple[str, datetime]:
    """The current snapshot, and the server's time."""
    snapshot, time, _ = row(connection, sql.get("forward/now"))
    return snapshot, time


def begin(connection: Connection, target: Target, since: datetime | None) -> Position:
    """The target's position. A new target begins now, or with the events of the log that arrived `since`.

    `since` counts only where there is no position that can be used. Raises ForwardRefusedError when the
    position is another address's, and ForwardError when it cannot be used and `since` would leave a gap.
    """
    snapshot, time, server = row(connection, sql.get("forward/now"))
    found = connection.execute(sql.get("forward/position"), {"name": target.name}).fetchone()
    if found is not None:
        position, (address, of_server) = _position(*found[:10]), found[10:12]
        _refuse_other_address(connection, target, address)
        if (reason := unusable(position, time, of_server == server)) is None:
            return position
        if since is None or since > _closing(position):
            raise ForwardError(f"{target.name}: {reason}")
    position = Position.at(snapshot, time, since)
    _add(connection, target, server, position)
    return position


def unusable(position: Position, time: datetime, same_server: bool = True) -> str | None:
    """Why events may be missing after the position, and how to send them; None: none are."""
    if same_server and time - position.seen_at < KEPT:
        return None
    why = (
        f"its position is of {_second(position.seen_at)}, and arrivals are kept for 7 days"
        if same_server
        else "its position is of another PostgreSQL server (this one is a restored copy, or was upgraded)"
    )
    return (
        f"{why}, so events may have been missed. Nothing was skipped or sent. The audit log still has them: "
        f"run the same command with --since {_second(_closing(position))}; events that the target has "
        "already may be sent again, with the same id"
    )


def save(connection: Connection, target: Target, position: Position, delivered: int) -> None:
    """Stores the position, and counts the events delivered. Raises ForwardError when it was deleted."""
    values = {**asdict(position), "name": target.name, "delivered": delivered}
    if connection.execute(sql.get("forward/save"), values).fetchone() is None:
        raise ForwardError(
            f"{target.name}: its position was deleted by `opsctl forward --forget` while this process ran. "
            "Nothing more was sent. To start again from now: the same command"
        )


def forget(connection: Connection, name: str) -> str | None:
    """Deletes the position of that name; returns its host, or None where there is none."""
    found = connection.execute(sql.get("forward/forget"), {"name": name}).fetchone()
    return None if found is None else str(found[0])


def targets(connection: Connection) -> list[TargetState]:
    """All targets of the database. Reads only, before the migration too."""
    if not scalar(connection, sql.get("forward/exist")):
        return []
    rows = connection.execute(sql.get("forward/targets")).fetchall()
    return [TargetState(lock_is_held(connection, lock_of(found[0])), *found) for found in rows]


def lock_of(name: str) -> str:
    """The name of the advisory lock that the target's process holds."""
    return f"ops: forward {name}"


def _closing(position: Position) -> datetime:
    """The time since which every event that the target may lack has arrived, to the second."""
    return min(position.since or position.seen_at, position.seen_at - MARGIN).replace(microsecond=0)


def _position(*columns: object) -> Position:
    names = Position.__dataclass_fields__
    return Position(**dict(zip(names, columns, strict=True)))  # type: ignore[arg-type]  # the columns of one row


def _refuse_other_address(connection: Connection, target: Target, address: bytes) -> None:
    if address == target.address_sha256:
        return
    if not target.is_named:
        raise ForwardRefusedError(
            f"name: {target.name} is the position of another address of this host. For a second target, "
            f"write --name with another name; if its address has changed: --name {target.name}"
        )
    values = {"name": target.name, "host": target.host, "address_sha256": target.address_sha256}
    connection.execute(sql.get("forward/address"), values)


def _add(connection: Connection, target: Target, server: str, position: Position) -> None:
    values = {
        "name": target.name,
        "host": target.host,
        "address_sha256": target.address_sha256,
        "server": server,
        **asdict(position),
    }
    connection.execute(sql.get("forward/add"), values)


def _oldest(snapshot: str) -> str:
    """The oldest transaction that the snapshot, `xmin:xmax:…`, may not see."""
    return snapshot.partition(":")[0]


def _second(time: datetime) -> str:
    return f"{time.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"

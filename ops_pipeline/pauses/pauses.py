"""Pauses and resumes maintenance of a database. The pause is kept there, for workers on any machine."""

from dataclasses import dataclass
from datetime import UTC, datetime

import sql
from ops_pipeline.audit import trail
from ops_pipeline.opsctl import opsctl
from ops_pipeline.postgres.connection import Connection, row, scalar


class PauseRefusedError(Exception):
    """Maintenance cannot be paused with these values; the message says what would be right."""


@dataclass(frozen=True, slots=True)
class Pause:
    """Maintenance of a database is paused since `paused_at`, until `ends_at`; None: until it is resumed."""

    id: int
    reason: str
    paused_by: str
    paused_at: datetime
    ends_at: datetime | None = None

    def in_words(self, database: str | None = None) -> str:
        """Since when, by whom, why, and the command that ends it. `database`: its name in policies.yaml."""
        until = f" until {_minute(self.ends_at)}" if self.ends_at else ""
        return (
            f"paused by {self.paused_by} since {_minute(self.paused_at)}{until}: {self.reason}. "
            f"To resume: {opsctl('resume', database=database)}"
        )


def active(connection: Connection) -> Pause | None:
    """The pause of the database that is neither resumed nor over. Reads only, before the migration too."""
    if not scalar(connection, sql.get("pauses/exist")):
        return None
    found = connection.execute(sql.get("pauses/active")).fetchone()
    return None if found is None else Pause(*found)


def pause(connection: Connection, *, reason: str, by: str, ends_at: datetime | None = None) -> Pause:
    """Pauses maintenance of the database; the audit log records by whom and why.

    Runs in progress stop after their current batch, VACUUM after its current table. An active pause is
    replaced. Raises PauseRefusedError when the reason is empty or the end is in the past.
    """
    if not reason.strip():
        raise PauseRefusedError("reason: must not be empty; say why maintenance is paused")
    if ends_at is not None and ends_at <= datetime.now(UTC):
        raise PauseRefusedError(f"until: {_minute(ends_at)} is in the past; write a future time")
    with connection.transaction():
        before = active(connection)
        values = {"reason": reason.strip(), "by": by, "ends_at": ends_at}
        begun = Pause(*row(connection, sql.get("pauses/pause"), values))
        replaced = {"replaces": before.id} if before else {}
        trail.record(connection, "maintenance.paused", {**_described(begun), **replaced}, by=by)
    return begun


def resume(connection: Connection, *, by: str) -> Pause | None:
    """Ends the pause of the database and returns it; None: it was not paused. The audit log records it."""
    ended = None
    with connection.transaction():
        for values in connection.execute(sql.get("pauses/resume"), {"by": by}).fetchall():
            ended = Pause(*values)
            trail.record(connection, "maintenance.resumed", _described(ended), by=by)
    return ended


def _described(pause: Pause) -> dict[str, object]:
    return {
        "pause": pause.id,
        "reason": pause.reason,
        "paused_by": pause.paused_by,
        "paused_at": pause.paused_at.isoformat(),
        "until": pause.ends_at.isoformat() if pause.ends_at else None,
    }


def _minute(time: datetime) -> str:
    return f"{time.astimezone(UTC):%Y-%m-%d %H:%M} UTC"

"""Replaces a key with a new one; for a while both work, so that its client can change over."""

from datetime import UTC, datetime, timedelta

import sql
from ops_pipeline.access import keys
from ops_pipeline.access.keys import Key, KeyRefusedError, NewKey
from ops_pipeline.audit import times
from ops_pipeline.postgres.connection import Connection

OVERLAP = "7d"


def rotate(
    connection: Connection, key: str, overlap: timedelta, expires_at: datetime | None
) -> tuple[NewKey, datetime]:
    """A new key with the name, scopes and databases of the one with that id or name, and when the old one
    stops working: after `overlap`, never later than it would have. The audit log records both.

    Raises KeyRefusedError when no valid key or several match, and as `keys.create` does; then nothing was
    changed.
    """
    old = _one(connection, key)
    with connection.transaction():
        values = {"id": old.id, "at": datetime.now(UTC) + overlap}
        ended = connection.execute(sql.get("access/expire"), values).fetchone()
        if ended is None:  # revoked or expired since it was looked up
            raise KeyRefusedError(f"key: {key!r} is not valid any more; nothing was changed")
        (until,) = ended
        new = keys.create(
            connection, old.name, old.scopes, expires_at, databases=old.databases or (), replaces=old.id
        )
        keys.record(
            connection, "key.rotate", old.id,
            name=old.name, replaced_by=str(new.id), expires_at=until.isoformat(),
        )  # fmt: skip
    return new, until


def overlap_of(text: str) -> timedelta:
    """The duration that `7d`, `12h` or `0d` means. Raises KeyRefusedError for anything else."""
    try:
        return times.duration(text)
    except ValueError as error:
        raise KeyRefusedError(f"overlap: {error}") from None


def _one(connection: Connection, key: str) -> Key:
    found, _ = keys.matching(connection, key)
    valid = [known for known in found if known.state(datetime.now(UTC)) == "valid"]
    if len(valid) > 1:
        raise KeyRefusedError(f"{keys.ambiguous(key, valid)}. Nothing was changed; write an id")
    if not valid:
        expired = found[0]
        raise KeyRefusedError(
            f"key: {expired.name} expired at {expired.expires_at:%Y-%m-%d %H:%M} UTC; nothing was changed. "
            f"Create a new one: {keys.creation(expired.name, expired.scopes, expired.databases)}"
        )
    return valid[0]

"""Keys for the HTTP API. Only a key's hash is kept; what the key is, is said once, to who made it."""

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, get_args
from uuid import UUID

import sql
from ops_pipeline.database import Connection, row

PREFIX = "ops_"
"""What every key begins with, so that one which leaked into a file or a log can be searched for."""

Scope = Literal["audit:read", "audit:export", "audit:write", "maintenance:read", "admin"]
SCOPES: tuple[str, ...] = get_args(Scope)
"""What a key may do. `admin` may do everything."""


class KeyRefusedError(Exception):
    """The key cannot be made or found as asked; the message says what would be right."""


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key just made, with the key itself, which is shown this once."""

    id: UUID
    name: str
    scopes: tuple[str, ...]
    key: str


@dataclass(frozen=True, slots=True)
class Key:
    """A key as it is known afterwards."""

    id: UUID
    name: str
    scopes: tuple[str, ...]
    created_at: datetime
    revoked_at: datetime | None


def create(connection: Connection, name: str, scopes: Sequence[str]) -> NewKey:
    """Makes a key with 256 random bits. Raises KeyRefusedError when a scope does not exist."""
    unknown = [scope for scope in scopes if scope not in SCOPES]
    if unknown or not scopes:
        wrong = f"there is no scope {unknown[0]!r}" if unknown else "a key needs at least one scope"
        raise KeyRefusedError(f"scope: {wrong}; there is: {', '.join(SCOPES)}")
    if not name.strip():
        raise KeyRefusedError("name: a key needs a name that says whose it is")
    key = PREFIX + secrets.token_urlsafe(32)
    granted = sorted(set(scopes))
    values = {"name": name.strip(), "key_hash": hashed(key), "scopes": granted}
    (key_id,) = row(connection, sql.get("keys/create"), values)
    return NewKey(key_id, name.strip(), tuple(granted), key)


def list_keys(connection: Connection) -> list[Key]:
    """Every key that was ever made, the newest first."""
    rows = connection.execute(sql.get("keys/list"))
    return [Key(key_id, name, tuple(scopes), *times) for key_id, name, scopes, *times in rows]


def revoke(connection: Connection, key: str) -> int:
    """Takes back the keys of that id or name, and says how many.

    Raises KeyRefusedError when there is none that is still valid.
    """
    revoked = connection.execute(sql.get("keys/revoke"), {"key": key}).rowcount
    if revoked == 0:
        raise KeyRefusedError(f"key: no valid key has the id or name {key!r}; `opsctl keys list` shows them")
    return revoked


def hashed(key: str) -> bytes:
    """What is kept of a key. A plain SHA-256 will do: 256 random bits cannot be guessed, salted or not."""
    return hashlib.sha256(key.encode()).digest()

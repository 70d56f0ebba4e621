"""Creates, lists and revokes keys for the API and the Dagster UI. Only a key's hash is stored."""

import hashlib
import secrets
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, get_args
from uuid import UUID

import sql
from ops_pipeline.audit import times, trail
from ops_pipeline.audit.event import OWN_EVENT_TYPE, AuditEvent
from ops_pipeline.audit.person import person
from ops_pipeline.postgres.connection import Connection, row

PREFIX = "ops_"
"""The prefix of every key, so that leaked keys can be found in files and logs."""

Scope = Literal[
    "audit:read",
    "audit:export",
    "audit:write",
    "audit:import",
    "maintenance:read",
    "maintenance:write",
    "admin",
]
SCOPES: tuple[str, ...] = get_args(Scope)
"""The scopes of a key. `admin` includes all others."""

MAINTENANCE: Scope = "maintenance:write"
"""The scope that may be limited to databases of policies.yaml."""
LASTS = "365d"
"""How long a key is valid that is created in a terminal without an expiry."""
NEVER = "never"

MOST_NAME = 100


class KeyRefusedError(Exception):
    """The key cannot be created or found; the message says what would be right."""


@dataclass(frozen=True, slots=True)
class KeyGrant:
    """A key's name, scopes and expiry.

    `databases`: those of policies.yaml whose runs the key may start and approve; None: all. They limit
    `maintenance:write` alone.
    """

    id: UUID
    name: str
    scopes: tuple[str, ...]
    expires_at: datetime | None
    databases: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class NewKey(KeyGrant):
    """A new key, with the secret, which is not stored."""

    key: str


@dataclass(frozen=True, slots=True)
class Key(KeyGrant):
    """A stored key, without the secret."""

    created_at: datetime
    last_used_at: datetime | None
    revoked_at: datetime | None

    def state(self, now: datetime) -> Literal["valid", "expired", "revoked"]:
        """The key's state at that time."""
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at is not None and self.expires_at <= now else "valid"


def create(
    connection: Connection,
    name: str,
    scopes: Sequence[str],
    expires_at: datetime | None = None,
    *,
    databases: Sequence[str] = (),
    replaces: UUID | None = None,
) -> NewKey:
    """Creates a key with 256 random bits; the audit log records who created it.

    It stops working at `expires_at`; without it, when it is revoked. `databases`: the only ones of
    policies.yaml whose runs it may start and approve; without any, all. `replaces`: the key that it is to
    replace, for the audit log.

    Raises KeyRefusedError when a scope does not exist or cannot be limited, the name is empty, too long or
    has invisible characters, or `expires_at` is in the past.
    """
    name, granted = name.strip(), sorted(set(scopes))
    _refuse_scopes(granted)
    _refuse_name(name)
    _refuse_databases(granted, databases)
    if expires_at is not None and expires_at <= datetime.now(UTC):
        raise KeyRefusedError(f"expires: {expires_at:%Y-%m-%d %H:%M} UTC is in the past; write a future time")
    limit = tuple(sorted(set(databases))) or None
    key = PREFIX + secrets.token_urlsafe(32)
    values = {
        "name": name,
        "key_hash": hashed(key),
        "scopes": granted,
        "databases": None if limit is None else list(limit),
        "expires_at": expires_at,
    }
    with connection.transaction():
        (key_id,) = row(connection, sql.get("access/create"), values)
        record(
            connection, "key.create", key_id, name=name, scopes=granted, databases=limit,
            expires_at=expires_at.isoformat() if expires_at else None,
            replaces=str(replaces) if replaces else None,
        )  # fmt: skip
    return NewKey(key_id, name, tuple(granted), expires_at, limit, key)


def _refuse_scopes(scopes: Sequence[str]) -> None:
    unknown = [scope for scope in scopes if scope not in SCOPES]
    if unknown or not scopes:
        wrong = f"scope {unknown[0]!r} does not exist" if unknown else "at least one scope is required"
        raise KeyRefusedError(f"scope: {wrong}; the scopes are: {', '.join(SCOPES)}")


def _refuse_name(name: str) -> None:
    if not name:
        raise KeyRefusedError("name: required; write who uses the key")
    if len(name) > MOST_NAME:
        raise KeyRefusedError(f"name: has {len(name)} characters; at most {MOST_NAME} are allowed")
    # It is shown in terminals, logs and the Dagster UI, as the person who approved.
    if invisible := [character for character in name if not character.isprintable()]:
        raise KeyRefusedError(
            f"name: contains U+{ord(invisible[0]):04X}, a control or invisible character; write letters, "
            "digits, spaces and punctuation"
        )


def _refuse_databases(scopes: Sequence[str], databases: Sequence[str]) -> None:
    if databases and ("admin" in scopes or MAINTENANCE not in scopes):
        what = "the scope admin has no limits" if "admin" in scopes else "this key does not have it"
        raise KeyRefusedError(
            f"database: limits the scope {MAINTENANCE}, and {what}; write --scope {MAINTENANCE}, or omit "
            "--database"
        )


def expiry(text: str, now: datetime) -> datetime | None:
    """The time that `90d`, `12h` or an ISO 8601 date means, a date 00:00 UTC; None for `never`.

    Raises KeyRefusedError when the text is none of them.
    """
    if text.strip().lower() == NEVER:
        return None
    try:
        return times.ahead(text, now)
    except ValueError as error:
        raise KeyRefusedError(f"expires: {error}, or {NEVER}") from None


def list_keys(connection: Connection) -> list[Key]:
    """All keys, including revoked and expired ones, newest first."""
    rows = connection.execute(sql.get("access/list"))
    return [
        Key(key_id, name, tuple(scopes), expires_at, _limit(databases), *times)
        for key_id, name, scopes, expires_at, databases, *times in rows
    ]


def revoke(connection: Connection, key: str) -> int:
    """Revokes the key with that id or name; returns how many. The audit log records who revoked it.

    The first characters of an id are enough. Raises KeyRefusedError when no valid key matches, or when
    several do: after a rotation the old and the new key share a name.
    """
    found, _ = matching(connection, key)
    if len(found) > 1:
        raise KeyRefusedError(f"{ambiguous(key, found)}. Nothing was revoked; write more of the id")
    with connection.transaction():
        ids = [known.id for known in found]
        revoked = connection.execute(sql.get("access/revoke"), {"ids": ids}).fetchall()
        for key_id, name, scopes in revoked:
            record(connection, "key.revoke", key_id, name=name, scopes=scopes)
    return len(revoked)


def matching(connection: Connection, key: str) -> tuple[list[Key], bool]:
    """The keys that are not revoked and have that id or name, or whose id begins so; and whether it is the
    whole id or name. Raises KeyRefusedError when there is none."""
    meant = [known for known in list_keys(connection) if known.revoked_at is None]
    named = [known for known in meant if key in (known.name, str(known.id))]
    found = named or [known for known in meant if key and str(known.id).startswith(key)]
    if not found:
        raise KeyRefusedError(f"key: no valid key has the id or name {key!r}; `opsctl keys list` shows them")
    return found, bool(named)


def creation(name: str, scopes: Sequence[str], databases: Sequence[str] | None) -> str:
    """The command that creates such a key."""
    options = [("--name", name), *(("--scope", scope) for scope in scopes)]
    options += [("--database", database) for database in databases or ()]
    return " ".join(["opsctl keys create", *(f"{option} {shlex.quote(value)}" for option, value in options)])


def ambiguous(key: str, found: Sequence[Key]) -> str:
    """Says which keys are meant by that id or name."""
    candidates = ", ".join(f"{known.id} ({known.name})" for known in found)
    return f"key: {key!r} is ambiguous: {candidates}"


def find(connection: Connection, key_hash: bytes) -> KeyGrant | None:
    """The valid key with that hash, and records that it was used; None when there is none."""
    found = connection.execute(sql.get("access/find"), {"key_hash": key_hash}).fetchone()
    if found is None:
        return None
    key_id, name, scopes, expires_at, databases = found
    return KeyGrant(key_id, name, tuple(scopes), expires_at, _limit(databases))


def find_refused(connection: Connection, key_hash: bytes) -> UUID | None:
    """The id of the key with that hash, of which `find` has found that it is not valid; None when there is
    none."""
    found = connection.execute(sql.get("access/refused"), {"key_hash": key_hash}).fetchone()
    return None if found is None else found[0]


def record_sign_in(connection: Connection, grant: KeyGrant) -> None:
    """Records in the audit log that a person signed in to the Dagster UI with that key."""
    record(connection, "key.sign_in", grant.id, by=grant.name, name=grant.name)


def hashed(key: str) -> bytes:
    """The stored hash of a key. Plain SHA-256 suffices: 256 random bits cannot be guessed, salted or not."""
    return hashlib.sha256(key.encode()).digest()


def record(
    connection: Connection, action: str, key_id: UUID, *, by: str | None = None, **details: object
) -> None:
    """Records in the audit log what was done with a key, `by` default by this process's user."""
    given = {name: value for name, value in details.items() if value is not None}
    event = AuditEvent(
        event_type=OWN_EVENT_TYPE,
        action=action,
        status="success",
        resource_type="api_key",
        resource_id=key_id,
        details=given,
        created_by=(by or person())[:255],
    )
    trail.store(connection, event)


def _limit(databases: Sequence[str] | None) -> tuple[str, ...] | None:
    return None if databases is None else tuple(databases)

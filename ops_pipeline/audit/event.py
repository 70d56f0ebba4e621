"""The audit event: one thing that somebody did, as an application reports it."""

import ipaddress
from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from msgspec import Meta

EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
LATEST = datetime(2200, 1, 1, tzinfo=UTC)
DEEPEST = 100
"""How deep `details` may be nested; PostgreSQL's own limit depends on its stack."""

WITHOUT_NUL = r"\A[^\x00]*\Z"

Text50 = Annotated[str, Meta(min_length=1, max_length=50, pattern=WITHOUT_NUL)]
Text100 = Annotated[str, Meta(min_length=1, max_length=100, pattern=WITHOUT_NUL)]
Text255 = Annotated[str, Meta(min_length=1, max_length=255, pattern=WITHOUT_NUL)]
Status = Literal["success", "failure", "pending"]
Milliseconds = Annotated[int, Meta(ge=0, le=2**31 - 1)]
ZonedTime = Annotated[datetime, Meta(tz=True)]


class AuditEvent(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """One event. On the wire its names are in camel case: `eventType`, `userId`.

    Without `id` it gets a random one, without `created_at` the time at which it is stored. What
    PostgreSQL could not keep is refused when it is decoded: text that is too long, a number out of
    range, an address that is no IP, a NUL character anywhere.

    Raises ValueError (as msgspec.ValidationError when decoding) naming the field.
    """

    event_type: Text50
    id: UUID | None = None
    user_id: UUID | None = None
    resource_type: Text50 | None = None
    resource_id: UUID | None = None
    action: Text100 | None = None
    details: dict[str, Any] | None = None
    ip_address: str | None = None
    status: Status | None = None
    duration_ms: Milliseconds | None = None
    created_at: ZonedTime | None = None
    created_by: Text255 | None = None

    def __post_init__(self) -> None:
        if self.created_at is not None and not EARLIEST <= self.created_at < LATEST:
            raise ValueError("createdAt: a time between 1970 and 2200 is needed")
        if self.ip_address is not None and not is_ip_address(self.ip_address):
            raise ValueError("ipAddress: an IPv4 or IPv6 address is needed; keep anything else in details")
        if self.details is not None:
            _refuse_what_jsonb_cannot_keep(self.details)


def is_ip_address(text: str) -> bool:
    """Whether PostgreSQL's type inet takes it as the address of one host."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    return getattr(address, "scope_id", None) is None


def _refuse_what_jsonb_cannot_keep(details: object) -> None:
    # With a stack of its own: nesting must not be able to exhaust Python's.
    waiting: list[tuple[object, int]] = [(details, 1)]
    while waiting:
        value, depth = waiting.pop()
        if depth > DEEPEST:
            raise ValueError(f"details: nested deeper than {DEEPEST} levels")
        if isinstance(value, str) and not _is_storable(value):
            raise ValueError("details: a NUL character or half of a surrogate pair cannot be stored")
        if isinstance(value, dict):
            waiting += ((part, depth + 1) for pair in value.items() for part in pair)
        elif isinstance(value, list | tuple):
            waiting += ((part, depth + 1) for part in value)


def _is_storable(text: str) -> bool:
    return "\x00" not in text and (text.isascii() or not any("\ud800" <= each <= "\udfff" for each in text))

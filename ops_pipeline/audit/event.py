"""What happened: one audit event, held to what the columns of `audit_logs` can keep."""

import ipaddress
import json
import re
import socket
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, get_args
from uuid import UUID

import msgspec
from msgspec import Meta

OWN_EVENT_TYPE = "audit_access"
"""The type of the events about access to the audit log itself. Only this service writes them."""

EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
LATEST = datetime(2200, 1, 1, tzinfo=UTC)
DEEPEST = 100
"""How many levels of objects and arrays `details` may have, itself counted."""

Status = Literal["success", "failure", "pending"]
Word = Annotated[str, Meta(min_length=1, max_length=50)]
Milliseconds = Annotated[int, Meta(ge=0, le=2**31 - 1)]


class EventError(ValueError):
    """An event that cannot be kept: `field` as it is called on the wire ("" for the event as a whole),
    and the `reason`, which says what would be right."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}" if field else reason)
        self.field = field
        self.reason = reason


class AuditEvent(
    msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True, forbid_unknown_fields=True
):
    """An event to be stored; its fields are the columns of `audit_logs`, in camelCase on the wire.

    Lengths and types are checked by `decode` and `convert`; what they let through PostgreSQL can
    keep, but for a number in `details` with more than 16,383 digits after its point. Without `id` or
    `created_at`, storing it gives it a random one and the present time.
    """

    event_type: Word
    id: UUID | None = None
    user_id: UUID | None = None
    resource_type: Word | None = None
    resource_id: UUID | None = None
    action: Annotated[str, Meta(max_length=100)] | None = None
    details: dict[str, Any] | None = None
    ip_address: Annotated[str, Meta(max_length=43)] | None = None
    status: Status | None = None
    duration_ms: Milliseconds | None = None
    created_at: Annotated[datetime, Meta(tz=True)] | None = None
    created_by: Annotated[str, Meta(max_length=255)] | None = None

    def __post_init__(self) -> None:
        for name in ("event_type", "resource_type", "action", "created_by"):
            if "\0" in (getattr(self, name) or ""):
                raise EventError(_WIRE[name], NO_NUL)
        if self.details is not None:
            _check_details(self.details)
        if self.ip_address is not None:
            _check_address(self.ip_address)
        if self.created_at is not None:
            _check_moment(self.created_at)


def decode(data: bytes | msgspec.Raw, details_max_bytes: int | None = None) -> AuditEvent:
    """The event that this JSON holds. Raises EventError.

    `details_max_bytes` limits the JSON of `details` as it was written, spaces and all.
    """
    if details_max_bytes is not None and len(memoryview(data)) > details_max_bytes:
        _check_size(data, details_max_bytes)
    try:
        return _checked(lambda: _DECODER.decode(data))
    except EventError as error:
        raise error if error.field else _located(data, error) from None


def convert(fields: Mapping[str, Any]) -> AuditEvent:
    """The event with these fields, called as on the wire. Raises EventError."""
    return _checked(lambda: msgspec.convert(fields, AuditEvent))


_WIRE = {
    field_of_event.name: field_of_event.encode_name for field_of_event in msgspec.structs.fields(AuditEvent)
}
_DECODER = msgspec.json.Decoder(AuditEvent)
TOO_DEEP = f"is nested too deeply; {DEEPEST} levels are the most"
NO_SURROGATE = "holds half of a surrogate pair (\\ud800 to \\udfff), which is no character"
NO_NUL = "must not contain the NUL character (\\u0000), which PostgreSQL cannot keep"


def _check_details(details: dict[str, Any]) -> None:
    try:
        encoded = msgspec.json.encode(details)
    except RecursionError:
        raise EventError("details", TOO_DEEP) from None
    except (TypeError, ValueError) as error:
        raise EventError("details", f"cannot be written as JSON: {error}") from None
    # Most events are cleared by these looks at the bytes.
    if encoded.count(b"[") + encoded.count(b"{") > DEEPEST and _deeper_than(DEEPEST, details):
        raise EventError("details", TOO_DEEP)
    if b"\\u0000" in encoded and _holds_nul(details):
        raise EventError("details", NO_NUL)


def _deeper_than(levels: int, value: Any) -> bool:
    if not isinstance(value, dict | list | tuple):
        return False
    inner = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(_deeper_than(levels - 1, element) for element in inner)


def _holds_nul(value: Any) -> bool:
    match value:
        case str():
            return "\0" in value
        case dict():
            return any(map(_holds_nul, value)) or any(map(_holds_nul, value.values()))
        case list() | tuple():
            return any(map(_holds_nul, value))
        case _:
            return False


def _check_address(address: str) -> None:
    # Python also takes a zone ("fe80::1%eth0") and a netmask in dots; inet takes neither.
    shaped = _ADDRESS.fullmatch(address)
    try:
        if shaped and shaped["plain"]:
            socket.inet_pton(socket.AF_INET, address)  # many times as fast, and most are of this kind
        else:
            ipaddress.ip_interface(address if shaped else "")
    except (ValueError, OSError):
        raise EventError("ipAddress", "must be an IPv4 or IPv6 address, such as 192.0.2.7") from None


_ADDRESS = re.compile(r"(?P<plain>[0-9]{1,3}(?:[.][0-9]{1,3}){3})|[0-9A-Fa-f.:]+(?:/[0-9]{1,3})?")


def _check_moment(moment: datetime) -> None:
    if moment.tzinfo is None:
        raise EventError("createdAt", "must say its time zone, such as 2026-01-31T12:00:00Z")
    if not EARLIEST <= moment < LATEST:
        raise EventError("createdAt", f"must lie between {EARLIEST:%Y} and {LATEST:%Y}")


def _checked(read: Callable[[], AuditEvent]) -> AuditEvent:
    try:
        return read()
    except msgspec.ValidationError as error:
        if isinstance(error.__cause__, EventError):
            raise error.__cause__ from None
        raise _explained(str(error)) from None
    except msgspec.DecodeError as error:
        raise EventError("", f"is not valid JSON: {error}") from None
    except UnicodeDecodeError:
        raise EventError("", "is not valid JSON: it must be encoded as UTF-8") from None
    except RecursionError:
        raise EventError("details", TOO_DEEP) from None


def _explained(message: str) -> EventError:
    if missing := re.match(r"Object missing required field `(.*?)`", message):
        return EventError(missing[1], "is required")
    if unknown := re.match(r"Object contains unknown field `(.*)`", message, re.DOTALL):
        return EventError(unknown[1], f"is not a field; there is: {', '.join(_WIRE.values())}")
    reason, _, path = message.partition(" - at `$.")
    if reason.startswith("Invalid enum value"):
        reason = f"must be one of {', '.join(get_args(Status))}"
    # Of a place inside of details the parser knows "details[...]" and no more.
    return EventError(path.removesuffix("`").removesuffix("[...]"), reason)


def _check_size(data: bytes | msgspec.Raw, most: int) -> None:
    try:
        size = len(memoryview(_DETAILS_DECODER.decode(data).details))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return  # whatever is wrong with it, the whole event's decoder says it better
    if size > most:
        raise EventError("details", f"has {size} bytes; {most} are the most")


class _Details(msgspec.Struct):
    details: msgspec.Raw = msgspec.Raw(b"")


_DETAILS_DECODER = msgspec.json.Decoder(_Details)
_FIELDS_DECODER = msgspec.json.Decoder(dict[str, msgspec.Raw])


def _located(data: bytes | msgspec.Raw, error: EventError) -> EventError:
    """The same error with the field it is in, where the event's fields can be told from each other."""
    try:
        fields = _FIELDS_DECODER.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _half_a_pair(data) or error
    for name, value in fields.items():
        try:
            msgspec.json.decode(value)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return EventError(name, error.reason)
    return error


def _half_a_pair(data: bytes | msgspec.Raw) -> EventError | None:
    # Unlike msgspec, the standard library reads on past half of a surrogate pair.
    try:
        fields = json.loads(bytes(data))
    except (ValueError, RecursionError):
        return None
    for name, value in fields.items() if isinstance(fields, dict) else ():
        if name in _WIRE.values() and re.search("[\ud800-\udfff]", json.dumps(value, ensure_ascii=False)):
            return EventError(name, NO_SURROGATE)
    return None

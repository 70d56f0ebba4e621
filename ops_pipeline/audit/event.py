"""The audit event: its fields, and the validation against the columns of `audit_logs`."""

import ipaddress
import json
import re
import socket
import unicodedata
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Annotated, Any, Literal, get_args
from uuid import UUID

import msgspec
from msgspec import Meta

OWN_EVENT_TYPE = "audit_access"
"""The type of events about access to the audit log itself. Only this service writes them."""
MAINTENANCE_TYPE = "maintenance"
"""The type of events about what maintenance did. Only this service writes them."""

EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
LATEST = datetime(2200, 1, 1, tzinfo=UTC)
DEEPEST = 100
"""How many levels of objects and arrays `details` may have, including itself."""
LONGEST_NUMBER = 400
"""How many characters a number in `details` may have when it is written out, as PostgreSQL does: `1e5` has 6.
Every double has fewer."""

Status = Literal["success", "failure", "pending"]
Word = Annotated[str, Meta(min_length=1, max_length=50)]
Milliseconds = Annotated[int, Meta(ge=0, le=2**31 - 1)]


class EventError(ValueError):
    """An invalid event. `field`: the field's JSON name ("" for the whole event); `reason`: what would be
    right."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}" if field else reason)
        self.field = field
        self.reason = reason


class AuditEvent(
    msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True, forbid_unknown_fields=True
):
    """An event to be stored; its fields are the columns of `audit_logs`, in camelCase in JSON.

    `decode` and `convert` check lengths and types, so that PostgreSQL can store the event. Without `id` it is
    stored with a random one, without `created_at` with the current time.
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
    """Decodes an event from JSON. Raises EventError.

    `details_max_bytes` limits the JSON of `details` as PostgreSQL writes it: with a space after each comma
    and colon, and numbers without exponents.
    """
    try:
        event = _checked(lambda: _DECODER.decode(data))
    except EventError as error:
        raise error if error.field else _located(data, error) from None
    # Spaces at most double the size.
    may_be_large = details_max_bytes is not None and 2 * len(memoryview(data)) > details_max_bytes
    if may_be_large or _LONG_NUMBER.search(data):
        _check_written(data, details_max_bytes)
    if _NUL.search(data):
        json.loads(bytes(data), object_pairs_hook=_without_nul)
    return event


@lru_cache(maxsize=1024)
def is_reserved(event_type: str) -> bool:
    """Whether only this service writes events of that type, or the type looks like one of those."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", event_type).casefold())
    return folded.strip() in RESERVED


def convert(fields: Mapping[str, Any]) -> AuditEvent:
    """The event with these fields, by their JSON names. Raises EventError."""
    return _checked(lambda: msgspec.convert(fields, AuditEvent))


RESERVED = (OWN_EVENT_TYPE, MAINTENANCE_TYPE)

SERVER_COLUMNS = ("received_at", "key_id", "peer_address", "subject_id", "origin")
"""The columns of `audit_logs` that only the server sets."""

_WIRE = {
    field_of_event.name: field_of_event.encode_name for field_of_event in msgspec.structs.fields(AuditEvent)
}
_DECODER = msgspec.json.Decoder(AuditEvent)
TOO_DEEP = f"is nested too deeply; at most {DEEPEST} levels are allowed"
NO_SURROGATE = "contains half of a surrogate pair (\\ud800 to \\udfff), which is not a character"
NO_NUL = "must not contain the NUL character (\\u0000), which PostgreSQL cannot store"


def _check_details(details: dict[str, Any]) -> None:
    try:
        encoded = msgspec.json.encode(details)
    except RecursionError:
        raise EventError("details", TOO_DEEP) from None
    except (TypeError, ValueError) as error:
        raise EventError("details", f"cannot be encoded as JSON: {error}") from None
    # These cheap checks of the bytes suffice for most events.
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
    # Python also accepts a zone ("fe80::1%eth0") and a dotted netmask; the type inet does not.
    shaped = _ADDRESS.fullmatch(address)
    try:
        if shaped and shaped["plain"]:
            socket.inet_pton(socket.AF_INET, address)  # much faster, and most addresses are IPv4
        else:
            ipaddress.ip_interface(address if shaped else "")
    except (ValueError, OSError):
        raise EventError("ipAddress", "must be an IPv4 or IPv6 address, such as 192.0.2.7") from None


_ADDRESS = re.compile(r"(?P<plain>[0-9]{1,3}(?:[.][0-9]{1,3}){3})|[0-9A-Fa-f.:]+(?:/[0-9]{1,3})?")


def _check_moment(moment: datetime) -> None:
    if moment.tzinfo is None:
        raise EventError("createdAt", "must have a time zone, such as 2026-01-31T12:00:00Z")
    if not EARLIEST <= moment < LATEST:
        raise EventError("createdAt", f"must be between {EARLIEST:%Y} and {LATEST:%Y}")


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
        return EventError(unknown[1], f"is not a field; the fields are: {', '.join(_WIRE.values())}")
    reason, _, path = message.partition(" - at `$.")
    if reason.startswith("Invalid enum value"):
        reason = f"must be one of {', '.join(get_args(Status))}"
    # For a value inside of details the parser only reports "details[...]".
    return EventError(path.removesuffix("`").removesuffix("[...]"), reason)


# The beginning of a number outside of a string that has an exponent, or is too long without one. Inside of a
# string it occurs rarely, and then nothing is refused.
_LONG_NUMBER = re.compile(rb"[:,\[\s]-?[0-9](?:[0-9.]{%d}|[0-9.]*[eE])" % (LONGEST_NUMBER - 1))
_NUL = re.compile(rb"\\u0000")


def _without_nul(fields: list[tuple[str, Any]]) -> None:
    # Of repeated names only the last value was decoded, but PostgreSQL parses each.
    if any(_holds_nul([name, value]) for name, value in fields):
        raise EventError("details", NO_NUL)


def check_sent(data: bytes | msgspec.Raw, details_max_bytes: int) -> None:
    """Refuses an event that is too large as it was sent, before any time is spent on it. Raises EventError.

    Eight times the limit of `details`, and 64 KiB, leave room for spaces and escapes.
    """
    if is_too_large(data, details_max_bytes):
        size, most = len(memoryview(data)), _most_sent(details_max_bytes)
        reason = f"the event has {size} bytes as it was sent; at most {most} are allowed"
        raise EventError("details", reason)


def is_too_large(data: bytes | msgspec.Raw, details_max_bytes: int) -> bool:
    """Whether `check_sent` refuses the event."""
    return len(memoryview(data)) > _most_sent(details_max_bytes)


def _most_sent(details_max_bytes: int) -> int:
    return 8 * details_max_bytes + 65536


def _check_written(data: bytes | msgspec.Raw, most: int | None) -> None:
    """Refuses `details` whose text is too large, or has a number whose text is too long."""
    written = 0

    def zero(number: str) -> int:
        nonlocal written
        length = _written_length(number)
        if length > LONGEST_NUMBER:
            shown = number if len(number) <= 20 else f"{number[:20]}…"
            raise EventError(
                "details",
                f"PostgreSQL writes the number {shown} with more than {LONGEST_NUMBER} characters; send it "
                "as a string",
            )
        written += length - len("0")
        return 0

    # PostgreSQL parses the values of repeated names as well, of which only the last one was decoded.
    json.loads(bytes(data), parse_float=zero, parse_int=zero)
    written = 0
    raw = bytes(_DETAILS_DECODER.decode(data).details)
    details = json.loads(raw or "null", parse_float=zero, parse_int=zero)
    # The standard library writes the same spaces as PostgreSQL.
    size = len(json.dumps(details, ensure_ascii=False).encode()) + written
    if most is not None and details is not None and size > most:
        raise EventError("details", f"has {size} bytes; at most {most} are allowed")


_NUMBER = re.compile(r"(-?)([0-9]+)(?:[.]([0-9]+))?(?:[eE]([+-]?[0-9]+))?")


def _written_length(number: str) -> int:
    """How many characters PostgreSQL writes the number with: `1.5e3` as 1500, `1.5e-3` as 0.0015."""
    parts = _NUMBER.fullmatch(number)
    if parts is None:
        raise ValueError(f"{number} is not a number of JSON")
    sign, whole, fraction, power = parts.groups(default="")
    if len(power) > len(str(LONGEST_NUMBER)) + 2:
        return LONGEST_NUMBER + 1
    exponent = int(power or 0)
    decimals = max(0, len(fraction) - exponent)
    return len(sign) + max(1, len(whole) + exponent) + (decimals + 1 if decimals else 0)


class _Details(msgspec.Struct):
    details: msgspec.Raw = msgspec.Raw(b"")


_DETAILS_DECODER = msgspec.json.Decoder(_Details)
_FIELDS_DECODER = msgspec.json.Decoder(dict[str, msgspec.Raw])


def _located(data: bytes | msgspec.Raw, error: EventError) -> EventError:
    """The same error with the name of the field it is in, if the fields can be parsed separately."""
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
    # Unlike msgspec, the standard library accepts half of a surrogate pair.
    try:
        fields = json.loads(bytes(data))
    except (ValueError, RecursionError):
        return None
    for name, value in fields.items() if isinstance(fields, dict) else ():
        if name in _WIRE.values() and re.search("[\ud800-\udfff]", json.dumps(value, ensure_ascii=False)):
            return EventError(name, NO_SURROGATE)
    return None

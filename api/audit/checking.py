"""Checks the events of a request. It may take a second for a large body, so it runs in a thread then."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from api.audit.body import Json, events_of, inflated
from api.audit.redaction import without_secrets
from api.auth.caller import Caller
from api.problems import FieldProblem
from ops_pipeline.audit.event import (
    AuditEvent,
    EventError,
    check_sent,
    decode,
    is_reserved,
    is_too_large,
)
from ops_pipeline.audit.redact import redactor
from ops_pipeline.audit.spelling import in_json_spelling
from ops_pipeline.settings import Settings

IMPORT_SCOPE = "audit:import"
"""The scope of keys that may store events of any time."""
AHEAD = timedelta(days=1)
"""How far in the future an event's time may be: clocks and time zones of clients may be wrong. Partitions are
premade for more days than this (`PREMAKE_DAYS`), so no event of a client makes another one."""

MOST_ERRORS = 100
"""How many errors of a batch say what is wrong; the others are only marked as such."""
NOT_EXPLAINED = FieldProblem(
    "", f"is invalid as well; only the first {MOST_ERRORS} errors of a request are explained"
)
SMALL_BYTES = 64 * 1024
SMALL_VALUES = 1_000
"""Up to these bytes and commas or lines, checking a body takes a few milliseconds."""

Valid = tuple[int, Json, AuditEvent]
"""A valid item of a batch: its index, its JSON, and the decoded event."""


@dataclass(frozen=True, slots=True)
class CheckedBody:
    """The decompressed body, and its events. `is_batch`: False for a single event, which is valid.

    `items`: the JSON of each event as it was sent. `redacted`: the same without secrets, None where it is no
    event. `errors`: of each invalid item by its index, what is wrong.
    """

    body: bytes = field(repr=False)
    is_batch: bool
    items: Sequence[Json]
    redacted: Sequence[Json | None]
    valid: list[Valid]
    errors: dict[int, FieldProblem]

    def sha256(self) -> bytes:
        """A digest that is the same for the same events, and from which no secret can be guessed."""
        if all(own is item for item, own in zip(self.items, self.redacted, strict=True)):
            return hashlib.sha256(self.body).digest()
        return hashlib.sha256(b"\n".join(own or b"" for own in self.redacted)).digest()


def is_small(body: bytes, encoding: str) -> bool:
    """Whether the body is checked at once."""
    return not encoding and len(body) <= SMALL_BYTES and body.count(b",") + body.count(b"\n") <= SMALL_VALUES


def checked_body(
    sent: bytes, encoding: str, content_type: str, caller: Caller, settings: Settings
) -> CheckedBody:
    """The events of a body as it was sent.

    Raises Problem 400, 413 or 415, and EventError for a single event that is invalid.
    """
    body = inflated(sent, encoding).strip()
    items = events_of(body, content_type)
    if items is None:
        own = _redacted(body, settings)
        return CheckedBody(body, False, [body], [own], [(0, *_checked(body, own, caller, settings))], {})
    valid: list[Valid] = []
    errors: dict[int, FieldProblem] = {}
    redacted = [_redacted(item, settings) for item in items]
    for index, (item, own) in enumerate(zip(items, redacted, strict=True)):
        try:
            valid.append((index, *_checked(item, own, caller, settings)))
        except EventError as error:
            explained = len(errors) < MOST_ERRORS
            errors[index] = FieldProblem(error.field or "body", error.reason) if explained else NOT_EXPLAINED
    return CheckedBody(body, True, items, redacted, valid, errors)


def checked(item: Json, caller: Caller, settings: Settings) -> tuple[Json, AuditEvent]:
    """The event sent by a client without its secrets, as JSON with the names of `AuditEvent`, and decoded.

    Raises EventError.
    """
    return _checked(item, _redacted(item, settings), caller, settings)


def _redacted(item: Json, settings: Settings) -> Json | None:
    """None where `_checked` refuses the item, whatever it contains."""
    if is_too_large(item, settings.audit_details_max_bytes):
        return None
    return without_secrets(item, redactor(settings.audit_redacted_fields))


def _checked(
    sent: Json, redacted: Json | None, caller: Caller, settings: Settings
) -> tuple[Json, AuditEvent]:
    check_sent(sent, settings.audit_details_max_bytes)
    item = sent if redacted is None else redacted
    try:
        event = decode(item, settings.audit_details_max_bytes)
    except EventError:
        if (renamed := in_json_spelling(item)) is None:
            raise
        item = renamed
        event = decode(item, settings.audit_details_max_bytes)
    if is_reserved(event.event_type):
        # A key that may write events must not be able to forge records of who has read them.
        raise EventError("eventType", f"{event.event_type} is reserved for this service; choose another")
    if event.created_at is not None and not caller.may(IMPORT_SCOPE):
        _check_window(event.created_at, settings.audit_max_age_days)
    return item, event


def _check_window(created_at: datetime, days: int) -> None:
    now = datetime.now(UTC)
    if not now - timedelta(days=days) <= created_at <= now + AHEAD:
        raise EventError(
            "createdAt",
            f"must be at most {days} days in the past (OPS_AUDIT_MAX_AGE_DAYS) and {AHEAD.days} day in the "
            f"future; to import older events, use a key with the scope {IMPORT_SCOPE}",
        )


def as_one_array(found: CheckedBody) -> bytes | None:
    """The body, if it is a JSON array of exactly the valid events as they are stored."""
    as_sent = len(found.valid) == len(found.items) and all(
        item is own for item, (_, own, _) in zip(found.items, found.valid, strict=True)
    )
    return found.body if as_sent and found.body.startswith(b"[") else None


def first_errors(errors: dict[int, FieldProblem]) -> list[FieldProblem]:
    """The first errors, each with its place in the batch."""
    first = list(errors.items())[:MOST_ERRORS]
    return [FieldProblem(f"[{index}].{error.field}", error.reason) for index, error in first]

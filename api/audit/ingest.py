"""POST /api/audit-logs: stores one event, a batch, or a retry of either."""

import asyncio
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid5

import msgspec
from litestar import MediaType, Response, post

import sql
from api import openapi
from api.audit.body import Json, events_of, inflated
from api.audit.queue import AuditQueue
from api.audit.store import Outcome, Refusal, UnavailableError, ValidatedEvent, sender
from api.auth.keys import Caller
from api.problems import AnyRequest, FieldProblem, Problem, invalid, unavailable
from api.services import Injected, Services
from ops_pipeline.audit.event import AuditEvent, EventError, decode, in_json_spelling, is_reserved
from ops_pipeline.settings import Settings

MOST_ERRORS = 100
"""How many errors are listed when no event of a batch could be stored."""

PATH = "/api/audit-logs"
SCOPE = "audit:write"
IMPORT_SCOPE = "audit:import"
"""The scope of keys that may store events of any time."""
AHEAD = timedelta(days=1)
"""How far in the future an event's time may be: clocks and time zones of clients may be wrong. Partitions are
created 3 days ahead, so no event of a client makes another one."""
IDEMPOTENCY_KEY = "Idempotency-Key"
LLM = "llm_request"

Valid = tuple[int, Json, AuditEvent]
"""A valid item of a batch: its index, its JSON, and the decoded event."""


class EventResult(msgspec.Struct, frozen=True, omit_defaults=True):
    """The result of one item of a batch: its id, or the error."""

    index: int
    id: UUID | None = None
    error: FieldProblem | None = None


class StoredOne(msgspec.Struct, frozen=True):
    """One event was stored now or by an earlier request."""

    success: bool
    id: UUID


class StoredBatch(msgspec.Struct, frozen=True):
    """A batch was stored, except the items with an error; `success` is true when no item has one."""

    success: bool
    results: list[EventResult]


@post(
    PATH,
    operation_id="storeAuditEvents",
    summary="Store one event, an array of events, or NDJSON",
    description="The response is sent after the commit. An event with an id, or a request with an "
    "Idempotency-Key, is stored once even if it is sent several times. An id that belongs to another event "
    "is answered 409. In a batch, an invalid item does not affect the others. The names of the table's "
    "columns (`event_type`) are accepted as well, so that what was read can be posted.",
    opt={"scope": SCOPE},
    status_code=201,
    tags=["audit"],
    security=openapi.KEY,
    operation_class=openapi.TakesEvents,
    responses={
        201: openapi.success(StoredOne | StoredBatch, "Committed", {"success": True, "id": openapi.EVENT_ID}),
        **openapi.behind_key(409, 413, 415, 422),
    },
)
async def store(request: AnyRequest, services: Injected) -> Response[bytes]:
    """Stores events and returns their ids."""
    body = inflated(await request.body(), request.headers.get("Content-Encoding", "")).strip()
    batch = await events_of(body, request.headers.get("Content-Type", ""))
    sent = Sent(request, services, body)
    answer = await _store_one(sent) if batch is None else await _store_batch(sent, batch)
    return Response(msgspec.json.encode(answer), media_type=MediaType.JSON)


AT_ONCE = 1_000
"""How many events of a batch are checked before other requests get a turn."""


@dataclass(frozen=True, slots=True)
class Sent:
    """A request with its decompressed body."""

    request: AnyRequest
    services: Services
    body: bytes

    @property
    def caller(self) -> Caller:
        caller: Caller = self.request.state["key"]
        return caller

    @property
    def sender(self) -> bytes:
        client = self.request.client
        return sender(self.caller.id, client.host if client else None)

    def checked(self, item: Json) -> tuple[Json, AuditEvent]:
        return checked(item, self.caller, self.services.settings)


def checked(item: Json, caller: Caller, settings: Settings) -> tuple[Json, AuditEvent]:
    """The event sent by a client, as JSON with the names of `AuditEvent`, and decoded. Raises EventError."""
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


async def store_one(queue: AuditQueue, sent_by: bytes, item: Json, event: AuditEvent) -> StoredOne:
    """Stores the event that `item` holds; returns once it is committed. `sent_by` is a `store.sender`.

    Raises Problem 400, 409 or 503.
    """
    (outcome,) = await _committed(queue, sent_by, [_validated(item, event)])
    if isinstance(outcome, Refusal):
        raise invalid(outcome.field, outcome.reason, 409 if outcome.is_conflict else 400)
    return StoredOne(True, outcome)


async def _store_one(sent: Sent) -> StoredOne:
    try:
        item, event = sent.checked(sent.body)
    except EventError as error:
        raise invalid(error.field or "body", error.reason) from error
    claim = await _claim(sent)
    if claim is None:
        return await store_one(sent.services.audit_queue, sent.sender, item, event)
    event, item = claim.marked(event, item, 0)
    return await store_one(sent.services.audit_queue, sent.sender, item, event)


async def _store_batch(sent: Sent, batch: Sequence[Json]) -> StoredBatch:
    results: list[EventResult | None] = []
    valid: list[Valid] = []
    for index, item in enumerate(batch):
        if index % AT_ONCE == AT_ONCE - 1:
            await asyncio.sleep(0)
        try:
            valid.append((index, *sent.checked(item)))
            results.append(None)
        except EventError as error:
            results.append(EventResult(index, error=FieldProblem(error.field or "body", error.reason)))
    as_sent = len(valid) == len(batch) and all(
        item is own for item, (_, own, _) in zip(batch, valid, strict=True)
    )
    array = sent.body if as_sent and sent.body.startswith(b"[") else None
    stored = await _outcomes(sent, valid, array) if valid else []
    conflicts = sum(isinstance(outcome, Refusal) and outcome.is_conflict for outcome in stored)
    outcomes = iter(stored)
    answers = [result or _result(index, next(outcomes)) for index, result in enumerate(results)]
    errors = [answer for answer in answers if answer.error is not None]
    if errors and len(errors) == len(answers):
        raise _nothing_stored(errors, 409 if conflicts == len(answers) else 400)
    return StoredBatch(not errors, answers)


async def _outcomes(sent: Sent, valid: list[Valid], array: bytes | None = None) -> list[Outcome]:
    claim = await _claim(sent)
    if claim is None:
        events = [_validated(item, event) for _, item, event in valid]
    else:
        array = None
        marked = [claim.marked(event, item, index) for index, item, event in valid]
        events = [_validated(item, event) for event, item in marked]
    return await _committed(sent.services.audit_queue, sent.sender, events, array)


def _validated(item: Json, event: AuditEvent) -> ValidatedEvent:
    return ValidatedEvent(item, event if event.event_type == LLM else None)


async def _committed(
    queue: AuditQueue, sent_by: bytes, events: Sequence[ValidatedEvent], array: bytes | None = None
) -> list[Outcome]:
    try:
        outcomes = await queue.store(sent_by, events, array)
    except UnavailableError as error:
        raise unavailable(str(error)) from error
    if any(isinstance(outcome, Refusal) and outcome.for_now for outcome in outcomes):
        raise unavailable("No partition accepts an event of this date at present; the others were stored.")
    return outcomes


def _result(index: int, outcome: Outcome) -> EventResult:
    if isinstance(outcome, Refusal):
        return EventResult(index, error=FieldProblem(outcome.field, outcome.reason))
    return EventResult(index, id=outcome)


def _nothing_stored(errors: list[EventResult], status: int) -> Problem:
    named = [
        FieldProblem(f"[{result.index}].{result.error.field}", result.error.reason)
        for result in errors[:MOST_ERRORS]
        if result.error is not None
    ]
    return Problem(status, "No event was stored; `errors` has the reason for each", named)


@dataclass(frozen=True, slots=True)
class Claim:
    """An Idempotency-Key that a caller has claimed for one body, with the time of the claim."""

    id: UUID
    time: datetime

    def marked(self, event: AuditEvent, item: Json, index: int) -> tuple[AuditEvent, Json]:
        """The event with an id and a time that are the same in every retry, and its JSON."""
        if event.id is not None:
            return event, item
        # The time is part of the id: once the receipt was purged, the key may be used for another request.
        own = uuid5(self.id, f"{self.time.isoformat()} {index}")
        event = msgspec.structs.replace(event, id=own, created_at=event.created_at or self.time)
        return event, msgspec.json.encode(event)


async def _claim(sent: Sent) -> Claim | None:
    """Claims the request's Idempotency-Key, committed before its events: a retry after a failure finds it."""
    key = sent.request.headers.get(IDEMPOTENCY_KEY)
    if key is None:
        return None
    if not re.fullmatch(r"[\x20-\x7e]{1,255}", key):
        raise invalid(IDEMPOTENCY_KEY, "must be 1 to 255 printable ASCII characters")
    claim_id = uuid5(sent.caller.id, key)
    values = {"id": claim_id, "body_sha256": hashlib.sha256(sent.body).digest()}
    ((same_body, time),) = await sent.services.writer_pool.rows(
        "insert", sql.get("api/audit/claim_key"), values
    )
    if not same_body:
        reason = "was used before with another body; a new request requires a new key"
        raise invalid(IDEMPOTENCY_KEY, reason, 422)
    return Claim(claim_id, time)

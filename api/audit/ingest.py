"""POST /api/audit-logs: stores one event, a batch, or a retry of either."""

import asyncio
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID, uuid5

import msgspec
from litestar import MediaType, Response, post

import sql
from api import openapi
from api.audit.body import Json, events_of, inflated
from api.audit.queue import AuditQueue
from api.audit.store import Outcome, Refusal, UnavailableError, ValidatedEvent
from api.auth.keys import Caller
from api.problems import AnyRequest, FieldProblem, Problem, invalid, unavailable
from api.services import Injected, Services
from ops_pipeline.audit.event import OWN_EVENT_TYPE, AuditEvent, EventError, decode

MOST_ERRORS = 100
"""How many errors are listed when no event of a batch could be stored."""

PATH = "/api/audit-logs"
SCOPE = "audit:write"
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
    "Idempotency-Key, is stored once even if it is sent several times. In a batch, an invalid item does not "
    "affect the others.",
    opt={"scope": SCOPE},
    status_code=201,
    tags=["audit"],
    security=openapi.KEY,
    operation_class=openapi.TakesEvents,
    responses={
        201: openapi.success(StoredOne | StoredBatch, "Committed", {"success": True, "id": openapi.EVENT_ID}),
        **openapi.behind_key(413, 415, 422),
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


def checked(item: Json, details_max_bytes: int) -> AuditEvent:
    """The event sent by a client. Raises EventError."""
    event = decode(item, details_max_bytes)
    if event.event_type == OWN_EVENT_TYPE:
        # A key that may write events must not be able to forge records of who has read them.
        raise EventError("eventType", f"{OWN_EVENT_TYPE} is reserved for this service; choose another")
    return event


async def store_one(queue: AuditQueue, item: Json, event: AuditEvent) -> StoredOne:
    """Stores the event that `item` holds; returns once it is committed. Raises Problem 400 or 503."""
    (outcome,) = await _committed(queue, [_validated(item, event)])
    if isinstance(outcome, Refusal):
        raise invalid(outcome.field, outcome.reason)
    return StoredOne(True, outcome)


async def _store_one(sent: Sent) -> StoredOne:
    try:
        event = checked(sent.body, sent.services.settings.audit_details_max_bytes)
    except EventError as error:
        raise invalid(error.field or "body", error.reason) from error
    claim = await _claim(sent)
    if claim is None:
        return await store_one(sent.services.audit_queue, sent.body, event)
    event = claim.marked(event, 0)
    return await store_one(sent.services.audit_queue, msgspec.json.encode(event), event)


async def _store_batch(sent: Sent, batch: Sequence[Json]) -> StoredBatch:
    results: list[EventResult | None] = []
    valid: list[Valid] = []
    for index, item in enumerate(batch):
        if index % AT_ONCE == AT_ONCE - 1:
            await asyncio.sleep(0)
        try:
            valid.append((index, item, checked(item, sent.services.settings.audit_details_max_bytes)))
            results.append(None)
        except EventError as error:
            results.append(EventResult(index, error=FieldProblem(error.field or "body", error.reason)))
    array = sent.body if len(valid) == len(batch) and sent.body.startswith(b"[") else None
    outcomes = iter(await _outcomes(sent, valid, array) if valid else ())
    answers = [result or _result(index, next(outcomes)) for index, result in enumerate(results)]
    errors = [answer for answer in answers if answer.error is not None]
    if errors and len(errors) == len(answers):
        raise _nothing_stored(errors)
    return StoredBatch(not errors, answers)


async def _outcomes(sent: Sent, valid: list[Valid], array: bytes | None = None) -> list[Outcome]:
    claim = await _claim(sent)
    if claim is None:
        events = [_validated(item, event) for _, item, event in valid]
    else:
        array = None
        marked = [claim.marked(event, index) for index, _, event in valid]
        events = [_validated(msgspec.json.encode(event), event) for event in marked]
    return await _committed(sent.services.audit_queue, events, array)


def _validated(item: Json, event: AuditEvent) -> ValidatedEvent:
    return ValidatedEvent(item, event if event.event_type == LLM else None)


async def _committed(
    queue: AuditQueue, events: Sequence[ValidatedEvent], array: bytes | None = None
) -> list[Outcome]:
    try:
        outcomes = await queue.store(events, array)
    except UnavailableError as error:
        raise unavailable(str(error)) from error
    if any(isinstance(outcome, Refusal) and outcome.for_now for outcome in outcomes):
        raise unavailable("No partition accepts an event of this date at present; the others were stored.")
    return outcomes


def _result(index: int, outcome: Outcome) -> EventResult:
    if isinstance(outcome, Refusal):
        return EventResult(index, error=FieldProblem(outcome.field, outcome.reason))
    return EventResult(index, id=outcome)


def _nothing_stored(errors: list[EventResult]) -> Problem:
    named = [
        FieldProblem(f"[{result.index}].{result.error.field}", result.error.reason)
        for result in errors[:MOST_ERRORS]
        if result.error is not None
    ]
    return Problem(400, "No event was stored; `errors` has the reason for each", named)


@dataclass(frozen=True, slots=True)
class Claim:
    """An Idempotency-Key that a caller has claimed for one body, with the time of the claim."""

    id: UUID
    time: datetime

    def marked(self, event: AuditEvent, index: int) -> AuditEvent:
        """The event with an id and a time that are the same in every retry."""
        if event.id is not None:
            return event
        # The time is part of the id: once the receipt was purged, the key may be used for another request.
        own = uuid5(self.id, f"{self.time.isoformat()} {index}")
        return msgspec.structs.replace(event, id=own, created_at=event.created_at or self.time)


async def _claim(sent: Sent) -> Claim | None:
    """Claims the request's Idempotency-Key, committed before its events: a retry after a failure finds it."""
    key = sent.request.headers.get(IDEMPOTENCY_KEY)
    if key is None:
        return None
    if not re.fullmatch(r"[\x20-\x7e]{1,255}", key):
        raise invalid(IDEMPOTENCY_KEY, "must be 1 to 255 printable ASCII characters")
    caller: Caller = sent.request.state["key"]
    claim_id = uuid5(caller.id, key)
    values = {"id": claim_id, "body_sha256": hashlib.sha256(sent.body).digest()}
    ((same_body, time),) = await sent.services.writer_pool.rows(
        "insert", sql.get("api/audit/claim_key"), values
    )
    if not same_body:
        reason = "was used before with another body; a new request requires a new key"
        raise invalid(IDEMPOTENCY_KEY, reason, 422)
    return Claim(claim_id, time)

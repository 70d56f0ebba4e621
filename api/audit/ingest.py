"""POST /api/audit-logs: stores one event, a batch, or a retry of either."""

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from uuid import UUID, uuid5

import msgspec
from litestar import MediaType, Response, post

import sql
from api import openapi
from api.audit.body import Json
from api.audit.checking import (
    MOST_ERRORS,
    CheckedBody,
    as_one_array,
    checked_body,
    first_errors,
    is_small,
)
from api.audit.queue import AuditQueue
from api.audit.store import (
    Outcome,
    Refusal,
    Sender,
    TooManyOfKeyError,
    UnavailableError,
    ValidatedEvent,
    sender,
)
from api.auth.caller import Caller, caller_of
from api.limits.limits import BodyBytes
from api.problems import AnyRequest, FieldProblem, Problem, invalid, too_many, unavailable
from api.services import Injected, Services
from ops_pipeline.audit.event import AuditEvent, EventError

PATH = "/api/audit-logs"
SCOPE = "audit:write"
IDEMPOTENCY_KEY = "Idempotency-Key"
LLM = "llm_request"
UNAVAILABLE = (
    "The database did not answer in time, or a limit of the server is reached; `detail` says what was "
    "stored. Try again after `Retry-After` seconds"
)
REFUSED = (400, 409)
"""Statuses of a request of which no event will ever be stored."""


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
    "is answered 409. In a batch, an invalid item does not affect the others. Secrets, by the names of "
    "`OPS_AUDIT_REDACTED_FIELDS`, are replaced by `[redacted]` before anything is stored or compared. The "
    "names of the table's columns (`event_type`) are accepted as well, so that what was read can be posted.",
    opt={"scope": SCOPE},
    status_code=201,
    tags=["audit"],
    security=openapi.KEY,
    operation_class=openapi.TakesEvents,
    responses={
        201: openapi.success(StoredOne | StoredBatch, "Committed", {"success": True, "id": openapi.EVENT_ID}),
        **openapi.behind_key(409, 413, 415, 422),
        503: openapi.problem(503, UNAVAILABLE),
    },
)
async def store(request: AnyRequest, services: Injected) -> Response[bytes]:
    """Stores events and returns their ids."""
    key = caller_of(request.scope)
    with services.limits.body(key.id) as counted:
        found = await _found(request, services, key, counted)
        answer = await _store_found(Sent(request, services, key, found))
    return Response(msgspec.json.encode(answer), media_type=MediaType.JSON)


@dataclass(frozen=True, slots=True)
class Sent:
    """A request with its checked body."""

    request: AnyRequest
    services: Services
    caller: Caller
    found: CheckedBody

    @property
    def sender(self) -> Sender:
        client = self.request.client
        return sender(self.caller.id, client.host if client else None)


async def _found(request: AnyRequest, services: Services, caller: Caller, counted: BodyBytes) -> CheckedBody:
    chunks = []
    async for chunk in request.stream():
        counted.take(len(chunk))
        chunks.append(chunk)
    body = b"".join(chunks)
    encoding = request.headers.get("Content-Encoding", "")
    content_type = request.headers.get("Content-Type", "")

    def check() -> CheckedBody:
        return checked_body(body, encoding, content_type, caller, services.settings)

    try:
        if is_small(body, encoding):
            found = check()
        else:
            async with services.limits.large_body(caller.id):
                found = await asyncio.to_thread(check)
    except EventError as error:
        raise invalid(error.field or "body", error.reason) from error
    if found.body is not body:
        counted.take(len(found.body))
    return found


async def store_one(queue: AuditQueue, sent_by: Sender, item: Json, event: AuditEvent) -> StoredOne:
    """Stores the event that `item` holds; returns once it is committed. `sent_by` is a `store.sender`.

    Raises Problem 400, 409, 429 or 503.
    """
    (outcome,) = await _committed(queue, sent_by, [_validated(item, event)])
    if isinstance(outcome, Refusal):
        raise invalid(outcome.field, outcome.reason, 409 if outcome.is_conflict else 400)
    return StoredOne(True, outcome)


async def _store_found(sent: Sent) -> StoredOne | StoredBatch:
    sent.services.limits.count_events(sent.caller.id, len(sent.found.valid))
    async with _claiming(sent) as claim:
        if sent.found.is_batch:
            return await _store_batch(sent, claim)
        ((_, item, event),) = sent.found.valid
        if claim is not None:
            event, item = claim.marked(event, item, 0)
        return await store_one(sent.services.audit_queue, sent.sender, item, event)


async def _store_batch(sent: Sent, claim: "Claim | None") -> StoredBatch:
    outcomes = await _outcomes(sent, claim) if sent.found.valid else []
    results = {index: EventResult(index, error=error) for index, error in sent.found.errors.items()}
    for (index, _, _), outcome in zip(sent.found.valid, outcomes, strict=True):
        results[index] = _result(index, outcome)
    answers = [results[index] for index in range(len(sent.found.items))]
    errors = {answer.index: answer.error for answer in answers if answer.error is not None}
    if errors and len(errors) == len(answers):
        conflicts = sum(isinstance(outcome, Refusal) and outcome.is_conflict for outcome in outcomes)
        raise _nothing_stored(errors, 409 if conflicts == len(answers) else 400)
    return StoredBatch(not errors, answers)


async def _outcomes(sent: Sent, claim: "Claim | None") -> list[Outcome]:
    if claim is None:
        array = as_one_array(sent.found)
        events = [_validated(item, event) for _, item, event in sent.found.valid]
    else:
        array = None
        marked = [claim.marked(event, item, index) for index, item, event in sent.found.valid]
        events = [_validated(item, event) for event, item in marked]
    return await _committed(sent.services.audit_queue, sent.sender, events, array)


def _validated(item: Json, event: AuditEvent) -> ValidatedEvent:
    return ValidatedEvent(item, event if event.event_type == LLM else None)


async def _committed(
    queue: AuditQueue, sent_by: Sender, events: Sequence[ValidatedEvent], array: bytes | None = None
) -> list[Outcome]:
    try:
        outcomes = await queue.store(sent_by, events, array)
    except TooManyOfKeyError as error:
        raise too_many(str(error)) from error
    except UnavailableError as error:
        raise unavailable(str(error)) from error
    if any(isinstance(outcome, Refusal) and outcome.for_now for outcome in outcomes):
        stored = not all(isinstance(outcome, Refusal) for outcome in outcomes)
        rest = "The others were stored." if stored else "Nothing was stored; try again."
        raise unavailable(f"No partition accepts an event of this date at present. {rest}")
    return outcomes


def _result(index: int, outcome: Outcome) -> EventResult:
    if isinstance(outcome, Refusal):
        return EventResult(index, error=FieldProblem(outcome.field, outcome.reason))
    return EventResult(index, id=outcome)


def _nothing_stored(errors: dict[int, FieldProblem], status: int) -> Problem:
    few = len(errors) <= MOST_ERRORS
    which = "the reason for each" if few else f"the first {MOST_ERRORS} of {len(errors):,} reasons"
    return Problem(status, f"No event was stored; `errors` has {which}", first_errors(errors))


@dataclass(frozen=True, slots=True)
class Claim:
    """An Idempotency-Key that a caller has claimed for the events of a body, with the time of the claim."""

    id: UUID
    body_sha256: bytes
    time: datetime

    def marked(self, event: AuditEvent, item: Json, index: int) -> tuple[AuditEvent, Json]:
        """The event with an id and a time that are the same in every retry, and its JSON."""
        if event.id is not None:
            return event, item
        # The time is part of the id: once the receipt was purged, the key may be used for another request.
        own = uuid5(self.id, f"{self.time.isoformat()} {index}")
        event = msgspec.structs.replace(event, id=own, created_at=event.created_at or self.time)
        return event, msgspec.json.encode(event)


@asynccontextmanager
async def _claiming(sent: Sent) -> AsyncIterator[Claim | None]:
    """Claims the request's Idempotency-Key for the block; a request whose events were all refused gives it
    back. After a 503 the claim stays: another try of the same request may just have stored its events."""
    claim = await _claim(sent) if sent.found.valid else None
    try:
        yield claim
    except Problem as problem:
        if claim is not None and problem.status in REFUSED:
            await sent.services.writer_pool.rows("delete", sql.get("api/audit/release_key"), asdict(claim))
        raise


async def _claim(sent: Sent) -> Claim | None:
    """Claims the request's Idempotency-Key, committed before its events: a retry after a failure finds it."""
    key = sent.request.headers.get(IDEMPOTENCY_KEY)
    if key is None:
        return None
    if not re.fullmatch(r"[\x20-\x7e]{1,255}", key):
        raise invalid(IDEMPOTENCY_KEY, "must be 1 to 255 printable ASCII characters")
    claim_id = uuid5(sent.caller.id, key)
    body_sha256 = sent.found.sha256()
    values = {"id": claim_id, "body_sha256": body_sha256}
    ((same_body, time),) = await sent.services.writer_pool.rows(
        "insert", sql.get("api/audit/claim_key"), values
    )
    if not same_body:
        reason = "was used before with another body; a new request requires a new key"
        raise invalid(IDEMPOTENCY_KEY, reason, 422)
    return Claim(claim_id, body_sha256, time)

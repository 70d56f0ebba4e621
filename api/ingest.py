"""Events in: one, many, or a retry of either."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID, uuid5

import msgspec
from litestar import MediaType, Request, Response, Router, post
from litestar.datastructures import State

import sql
from api import openapi
from api.auth import Caller, require_scope
from api.body import Json, inflated, items
from api.problems import RETRY_AFTER_SECONDS, Problem
from api.writer import AuditWriter, Checked, Outcome, Refusal, UnavailableError
from ops_pipeline.audit.event import OWN_EVENT_TYPE, AuditEvent, EventError, decode

MOST_ERRORS = 100
"""How many reasons are told when no event of a batch could be stored."""

PATH = "/api/audit-logs"
SCOPE = "audit:write"
IDEMPOTENCY_KEY = "Idempotency-Key"
LLM = "llm_request"

Good = tuple[int, Json, AuditEvent]
"""An item that was found to be well: where it stood, what was sent, and what that says."""


class Reason(msgspec.Struct, frozen=True):
    """What is wrong with an event: in which field, and what would be right."""

    field: str
    reason: str


class Result(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of one item of a batch: its id, or why it was refused."""

    index: int
    id: UUID | None = None
    error: Reason | None = None


class StoredOne(msgspec.Struct, frozen=True):
    """One event was stored, or had been before."""

    success: bool
    id: UUID


class StoredBatch(msgspec.Struct, frozen=True):
    """A batch was stored, but for the items with an error; `success` says whether there are none."""

    success: bool
    results: list[Result]


@post(
    PATH,
    operation_id="storeAuditEvents",
    summary="Store one event, an array of events, or a line for each",
    description="Answered after the commit. An event with an id is stored once, however often it is sent, "
    "and so is what comes with an Idempotency-Key. In a batch a bad item is refused by itself.",
    opt={"scope": SCOPE},
    status_code=201,
    guards=[require_scope],
    tags=["audit"],
    security=openapi.KEY,
    operation_class=openapi.TakesEvents,
    responses={
        201: openapi.shown(openapi.StoredEvents, "Committed", {"success": True, "id": openapi.EVENT_ID}),
        **openapi.behind_key(413, 415, 422),
    },
)
async def store(request: Request[Any, Any, State], state: State) -> Response[bytes]:
    """Stores events and says their ids."""
    body = inflated(await request.body(), request.headers.get("Content-Encoding", "")).strip()
    batch = await items(body, request.headers.get("Content-Type", ""))
    sent = Sent(request, state, body)
    answer = await _store_one(sent) if batch is None else await _store_batch(sent, batch)
    return Response(msgspec.json.encode(answer), media_type=MediaType.JSON)


@dataclass(frozen=True, slots=True)
class Sent:
    """A request with its body as it was before it was compressed."""

    request: Request[Any, Any, State]
    state: State
    body: bytes


def checked(item: Json, details_max_bytes: int) -> AuditEvent:
    """The event that a client has sent. Raises EventError."""
    event = decode(item, details_max_bytes)
    if event.event_type == OWN_EVENT_TYPE:
        # Whoever may write events must not be able to make up who has read them.
        raise EventError("eventType", f"{OWN_EVENT_TYPE} is what this service itself writes; choose another")
    return event


async def store_one(writer: AuditWriter, item: Json, event: AuditEvent) -> StoredOne:
    """Stores the event that `item` holds; returns once it is committed. Raises Problem 400 or 503."""
    (outcome,) = await _committed(writer, [Checked(item, event if event.event_type == LLM else None)])
    if isinstance(outcome, Refusal):
        raise _refused(_reason(outcome))
    return StoredOne(True, outcome)


async def _store_one(sent: Sent) -> StoredOne:
    try:
        event = checked(sent.body, sent.state.details_max_bytes)
    except EventError as error:
        raise _refused(_reason(error)) from error
    claim = await _claim(sent)
    if claim is None:
        return await store_one(sent.state.audit_writer, sent.body, event)
    event = claim.marked(event, 0)
    return await store_one(sent.state.audit_writer, msgspec.json.encode(event), event)


async def _store_batch(sent: Sent, batch: Sequence[Json]) -> StoredBatch:
    results: list[Result | None] = []
    good: list[Good] = []
    for index, item in enumerate(batch):
        try:
            good.append((index, item, checked(item, sent.state.details_max_bytes)))
            results.append(None)
        except EventError as error:
            results.append(Result(index, error=_reason(error)))
    array = sent.body if len(good) == len(batch) and sent.body.startswith(b"[") else None
    outcomes = iter(await _outcomes(sent, good, array) if good else ())
    told = [
        result if result is not None else _result(index, next(outcomes))
        for index, result in enumerate(results)
    ]
    errors = [each for each in told if each.error is not None]
    if errors and len(errors) == len(told):
        raise _nothing_stored(errors)
    return StoredBatch(not errors, told)


async def _outcomes(sent: Sent, good: list[Good], array: bytes | None = None) -> list[Outcome]:
    claim = await _claim(sent)
    if claim is None:
        events = [Checked(item, event if event.event_type == LLM else None) for _, item, event in good]
    else:
        array = None
        marked = [claim.marked(event, index) for index, _, event in good]
        events = [
            Checked(msgspec.json.encode(each), each if each.event_type == LLM else None) for each in marked
        ]
    return await _committed(sent.state.audit_writer, events, array)


async def _committed(
    writer: AuditWriter, events: Sequence[Checked], array: bytes | None = None
) -> list[Outcome]:
    try:
        outcomes = await writer.store(events, array)
    except UnavailableError as error:
        raise _come_again(str(error)) from error
    if any(isinstance(each, Refusal) and each.for_now for each in outcomes):
        raise _come_again("The table takes no event of such a date at present; the others were stored.")
    return outcomes


def _come_again(detail: str) -> Problem:
    return Problem(503, detail, headers={"Retry-After": RETRY_AFTER_SECONDS})


def _result(index: int, outcome: Outcome) -> Result:
    if isinstance(outcome, Refusal):
        return Result(index, error=_reason(outcome))
    return Result(index, id=outcome)


def _reason(error: EventError | Refusal) -> Reason:
    return Reason(error.field or "body", error.reason)


def _refused(reason: Reason) -> Problem:
    return Problem(
        400, f"{reason.field}: {reason.reason}", [{"field": reason.field, "reason": reason.reason}]
    )


def _nothing_stored(errors: list[Result]) -> Problem:
    named = [
        {"field": f"[{each.index}].{each.error.field}", "reason": each.error.reason}
        for each in errors[:MOST_ERRORS]
        if each.error is not None
    ]
    return Problem(400, "No event was stored; each is refused for a reason of its own", named)


@dataclass(frozen=True, slots=True)
class Claim:
    """An Idempotency-Key that a caller has claimed for one body, and when that was."""

    id: UUID
    time: datetime

    def marked(self, event: AuditEvent, index: int) -> AuditEvent:
        """The event with what makes it the same event in every retry."""
        if event.id is not None:
            return event
        # The time is part of it: once the receipt was purged, the key may be used for something new.
        own = uuid5(self.id, f"{self.time.isoformat()} {index}")
        return msgspec.structs.replace(event, id=own, created_at=event.created_at or self.time)


async def _claim(sent: Sent) -> Claim | None:
    """Committed before the events are: a retry after a failure meets the claim and goes on from there."""
    key = sent.request.headers.get(IDEMPOTENCY_KEY)
    if key is None:
        return None
    if not re.fullmatch(r"[\x20-\x7e]{1,255}", key):
        reason = "must be 1 to 255 printable ASCII characters"
        raise Problem(400, f"{IDEMPOTENCY_KEY}: {reason}", [{"field": IDEMPOTENCY_KEY, "reason": reason}])
    caller: Caller = sent.request.state["key"]
    claim_id = uuid5(caller.id, key)
    values = {"id": claim_id, "body_sha256": hashlib.sha256(sent.body).digest()}
    ((same_body, time),) = await sent.state.writer_pool.rows("insert", sql.get("audit/claim_key"), values)
    if not same_body:
        reason = "was sent before with another body; a new request needs a new key"
        raise Problem(422, f"{IDEMPOTENCY_KEY}: {reason}", [{"field": IDEMPOTENCY_KEY, "reason": reason}])
    return Claim(claim_id, time)


router = Router("/", route_handlers=[store])

"""The description of the API: what its answers look like, which errors there are, how to authenticate."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, cast
from uuid import UUID

import msgspec
from litestar.handlers import HTTPRouteHandler
from litestar.openapi import OpenAPIConfig, ResponseSpec
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import (
    Components,
    Example,
    OpenAPIMediaType,
    Operation,
    RequestBody,
    Schema,
    SecurityScheme,
    Tag,
)
from litestar.types import Method

from api import problems
from ops_pipeline import __version__
from ops_pipeline.audit.event import AuditEvent
from ops_pipeline.audit.repository import AuditLog

KEY = [{"key": list[str]()}]
"""For `security=` of a route that needs a key."""

EVENT_ID = "0191f6b2-4c1e-7c3a-9a57-2f6d1c0e5a11"
SENT = {
    "id": EVENT_ID, "createdAt": "2026-03-01T12:00:00Z", "eventType": "file.opened", "action": "open",
    "resourceType": "file", "status": "failure", "ipAddress": "192.0.2.7", "durationMs": 3,
    "details": {"errorCode": "AccessDenied"}, "createdBy": "files",
}  # fmt: skip
KEPT = {
    "id": EVENT_ID, "event_type": "file.opened", "user_id": None, "resource_type": "file",
    "resource_id": None, "action": "open", "details": {"errorCode": "AccessDenied"},
    "ip_address": "192.0.2.7", "status": "failure", "duration_ms": 3,
    "created_at": "2026-03-01T12:00:00+00:00", "created_by": "files",
}  # fmt: skip
NEXT = "/api/admin/audit-logs?limit=100&cursor=..."

DESCRIPTIONS = {
    400: "A parameter or the body is not as it should be; `errors` names each field and what would be right",
    401: "There is no valid key with the request; it may have expired or been revoked",
    403: "The key lacks the scope that `WWW-Authenticate` names",
    404: "There is no such thing",
    405: "The path is right and the method is not; `Allow` has those there are",
    413: "The body is larger than is taken, as it comes or inflated",
    415: "The body is in an encoding that is not read",
    422: "The Idempotency-Key was sent before with another body",
    500: "A mistake of ours; the log knows it by the X-Request-ID",
    503: "The database does not answer in time; `Retry-After` says when to come again",
}


class FieldProblem(msgspec.Struct, frozen=True):
    """Which field is wrong, and what would be right."""

    field: str
    reason: str


class ProblemDetails(msgspec.Struct, frozen=True):
    """An error as RFC 9457 has it; docs/reference/problems.md lists the types."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[FieldProblem] = []


class EventPage(msgspec.Struct, frozen=True, rename="camel"):
    """A page of events; `next` is the address of the one that follows."""

    success: bool
    data: list[AuditLog]
    count: int
    next: str | None
    total: int | None = None
    total_reason: str | None = None


class OneEvent(msgspec.Struct, frozen=True):
    """One event."""

    success: bool
    data: AuditLog


class ValueCount(msgspec.Struct, frozen=True):
    """How many events have that value."""

    value: str | None
    count: int


class Bucket(msgspec.Struct, frozen=True):
    """The events of a stretch of time, named by its beginning."""

    bucket: datetime
    total: int
    counts: list[ValueCount]


class Summary(msgspec.Struct, frozen=True):
    """Events per stretch of time."""

    success: bool
    data: list[Bucket]
    count: int
    next: str | None


class MaintenanceRun(msgspec.Struct, frozen=True):
    """What one policy did in one run. Rows that it would still remove are `rows_left`."""

    id: int
    policy: str
    started_at: datetime
    finished_at: datetime | None
    cutoff: datetime | None
    rows_examined: int
    rows_removed: int
    rows_left: int | None
    outcome: str
    stopped_reason: str | None
    dagster_run_id: str | None
    details: dict[str, Any]


class RunPage(msgspec.Struct, frozen=True):
    """The newest runs."""

    success: bool
    data: list[MaintenanceRun]
    count: int
    next: str | None


class PartitionShare(msgspec.Struct, frozen=True):
    """What of one partition would go, in rows."""

    table: str
    eligible: int
    total: int


class Bloat(msgspec.Struct, frozen=True):
    """Of `size` bytes `wasted` would be saved by writing it anew; an estimate, or read by pgstattuple."""

    size: int
    wasted: int
    by: Literal["statistics", "pgstattuple"]


class PlannedTable(msgspec.Struct, frozen=True):
    """What VACUUM would do with a table, and why; its bloat and that of its B-trees, where it can be told."""

    table: str
    action: Literal["freeze", "vacuum", "analyze", "skip"]
    reason: str
    bloat: Bloat | None = None
    index_bloat: Bloat | None = None


class PlannedIndex(msgspec.Struct, frozen=True):
    """A B-tree past the threshold, or what an interrupted rebuild has left, and what is done with it."""

    index: str
    table: str
    action: Literal["rebuild", "drop", "leave"]
    reason: str
    bloat: Bloat | None = None


class PlannedPolicy(msgspec.Struct, frozen=True):
    """What one policy would do, in rows; or the `problem` why that cannot be said, and no numbers.

    `eligible` of `total` would go, about `bytes`; with `exact` false a sample was looked at. Kept: what is on
    hold (`held`), what rows that stay refer to (`referenced`), and rows without a time (`unset`). `stops`:
    why the guard would stop it. `seconds`: how long it takes at the rate of the last run.
    """

    policy: str
    eligible: int | None
    fraction: float | None
    method: str | None
    problem: str | None = None
    total: int | None = None
    unset: int | None = None
    oldest: datetime | None = None
    newest: datetime | None = None
    oldest_row: datetime | None = None
    dead_tuples: int | None = None
    exact: bool | None = None
    bytes: int | None = None
    held: int | None = None
    referenced: int | None = None
    why: str | None = None
    cutoff: datetime | None = None
    seconds: float | None = None
    partitions: list[PartitionShare] = []
    cascades: list[str] = []
    problems: list[str] = []
    stops: list[str] = []
    advice: list[str] = []
    tables: list[PlannedTable] = []
    indexes: list[PlannedIndex] = []


class PlanPage(msgspec.Struct, frozen=True):
    """What each policy would do, or why that cannot be said now."""

    success: bool
    data: list[PlannedPolicy]
    count: int
    next: str | None


class StoredEvents(msgspec.Struct, frozen=True, omit_defaults=True):
    """One event was stored and has this `id`; or a batch, with a result for each item."""

    success: bool
    id: UUID | None = None
    results: list[dict[str, Any]] = []


def config() -> OpenAPIConfig:
    """What holds for the whole description."""
    bearer = SecurityScheme(type="http", scheme="bearer", description="A key from `opsctl keys create`")
    return OpenAPIConfig(
        title="Ops Pipeline",
        version=__version__,
        description="The audit log of a PostgreSQL application, and what its nightly maintenance did. "
        "Every error is a problem of RFC 9457 (application/problem+json).",
        components=Components(security_schemes={"key": bearer}),
        tags=[
            Tag("audit", "Events in, and answers to who did what; reading is itself noted in the log"),
            Tag("maintenance", "What the nightly maintenance did"),
            Tag("health", "For probes"),
            Tag("metrics", "For Prometheus"),
        ],
        path="/schema",
        render_plugins=[JsonRenderPlugin(path="/")],
    )


def shown(
    model: Any, description: str, example: Any = None, media_type: str = "application/json"
) -> ResponseSpec:
    """An answer that is no error."""
    examples = None if example is None else [Example(value=example)]
    return ResponseSpec(
        model, generate_examples=False, description=description, media_type=media_type, examples=examples
    )


def refused(*statuses: int) -> dict[int, ResponseSpec]:
    """The errors a route has."""
    return {status: _problem(status) for status in statuses}


def behind_key(*statuses: int) -> dict[int, ResponseSpec]:
    """The errors that every route has which needs a key, and these."""
    return refused(400, 401, 403, *statuses, 500, 503)


def _problem(status: int) -> ResponseSpec:
    name = problems.slug(status)
    example: dict[str, Any] = {
        "type": f"/problems/{name}",
        "title": name.replace("-", " ").capitalize(),
        "status": status,
        "detail": DESCRIPTIONS[status],
    }
    if status == 400:
        example |= {
            "detail": "limit: Expected `int` >= 1",
            "errors": [{"field": "limit", "reason": "Expected `int` >= 1"}],
        }
    return shown(ProblemDetails, DESCRIPTIONS[status], example, problems.MEDIA_TYPE)


def last_part(handler: HTTPRouteHandler, _: Method, path: list[Any]) -> str:
    """The operation id of a handler with several paths: the last part of each."""
    return str(path[-1]) if path else handler.handler_name


def also_as(*media_types: str) -> type[Operation]:
    """For `operation_class=` of a route that answers in these forms as well."""

    @dataclass
    class SeveralForms(Operation):
        def __post_init__(self) -> None:
            answer: Any = (self.responses or {})["200"]
            (first,) = answer.content.values()
            answer.content |= dict.fromkeys(media_types, first)

    return SeveralForms


@dataclass
class TakesEvents(Operation):
    """The operation whose body the handler reads by itself."""

    def __post_init__(self) -> None:
        either = cast("Schema", {"anyOf": [_EVENT, {"type": "array", "items": _EVENT, "minItems": 1}]})
        one, several = Example("One event", value=SENT), Example("An array", value=[SENT])
        lines = Schema(description="A JSON object on each line, each an event as in application/json")
        self.request_body = RequestBody(
            required=True,
            description="One event, an array of them, or NDJSON: an event on each line. With "
            "`Content-Encoding: gzip` it may be compressed. At most 16 MiB, compressed and inflated.",
            content={
                "application/json": OpenAPIMediaType(either, examples={"one": one, "several": several}),
                "application/x-ndjson": OpenAPIMediaType(lines),
            },
        )


_EVENT: dict[str, Any] = msgspec.json.schema(AuditEvent)["$defs"]["AuditEvent"] | {
    "description": "What happened. Without `id` or `createdAt` it gets a random one and the present time."
}

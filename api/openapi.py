"""The OpenAPI description that all routes share. Each route describes its own responses."""

from dataclasses import dataclass
from typing import Any, cast

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

from api import described, problems
from ops_pipeline import __version__
from ops_pipeline.audit.event import AuditEvent

KEY = [{"key": list[str]()}]
"""For `security=` of a route that needs a key."""

TOKEN = [{"token": list[str]()}]
"""For `security=` of a route that also takes a token of the key."""

EVENT_ID = "0191f6b2-4c1e-7c3a-9a57-2f6d1c0e5a11"
SENT_EVENT = {
    "id": EVENT_ID, "createdAt": "2026-03-01T12:00:00Z", "eventType": "file.opened", "action": "open",
    "resourceType": "file", "status": "failure", "ipAddress": "192.0.2.7", "durationMs": 3,
    "details": {"errorCode": "AccessDenied"}, "createdBy": "files",
}  # fmt: skip
STORED_EVENT = {
    "id": EVENT_ID, "event_type": "file.opened", "user_id": None, "resource_type": "file",
    "resource_id": None, "action": "open", "details": {"errorCode": "AccessDenied"},
    "ip_address": "192.0.2.7", "status": "failure", "duration_ms": 3,
    "created_at": "2026-03-01T12:00:00+00:00", "created_by": "files",
    "received_at": "2026-03-01T12:00:01.5+00:00", "key_id": "8a1f0c1e-4f0e-4b52-9f0a-3a1d2b6c7d10",
    "peer_address": "192.0.2.10", "subject_id": None, "origin": "api",
}  # fmt: skip
NEXT = "/api/admin/audit-logs?limit=100&cursor=..."

DESCRIPTIONS = {
    400: "A parameter or the body is invalid; `errors` names each field and what would be right",
    401: "The request has no valid key; it may have expired or been revoked",
    403: "The key lacks the scope that `WWW-Authenticate` names",
    404: "Not found",
    405: "The path does not support the method; `Allow` lists those it supports",
    409: "Another event has the id; in a batch, every event's",
    413: "The body is too large, as sent or after decompression, or has too many events",
    415: "The Content-Encoding is not supported",
    422: "The Idempotency-Key was used before with another body",
    429: "The key exceeds a limit of its own, or its address has sent too many wrong keys; `detail` says "
    "which. Try again after `Retry-After` seconds",
    500: "Internal error; search the log for the X-Request-ID",
    503: "The database did not answer in time, or a limit of the server is reached; `detail` says which. Try "
    "again after `Retry-After` seconds",
}


def config() -> OpenAPIConfig:
    """The configuration of the OpenAPI description."""
    bearer = SecurityScheme(type="http", scheme="bearer", description="A key from `opsctl keys create`")
    token = SecurityScheme(
        type="apiKey",
        security_scheme_in="query",
        name="token",
        description="A token of a key, from `createTailToken`",
    )
    return OpenAPIConfig(
        title="Ops Pipeline",
        version=__version__,
        description="The audit log of a PostgreSQL application, and the runs of its nightly maintenance. "
        "Every error is an RFC 9457 problem (application/problem+json).",
        components=Components(security_schemes={"key": bearer, "token": token}),
        tags=[
            Tag("audit", "Store and query audit events; every read is itself recorded in the audit log"),
            Tag("maintenance", "Runs of the nightly maintenance, and what the next one would delete"),
            Tag("health", "Health probes"),
            Tag("metrics", "Prometheus metrics"),
        ],
        path="/schema",
        use_handler_docstrings=True,
        render_plugins=[JsonRenderPlugin(path="/")],
    )


def success(
    model: Any, description: str, example: Any = None, media_type: str = "application/json"
) -> ResponseSpec:
    """The description of a successful response."""
    examples = None if example is None else [Example(value=example)]
    return ResponseSpec(
        model, generate_examples=False, description=description, media_type=media_type, examples=examples
    )


def refused(*statuses: int) -> dict[int, ResponseSpec]:
    """The descriptions of a route's error responses."""
    return {status: problem(status) for status in statuses}


def behind_key(*statuses: int) -> dict[int, ResponseSpec]:
    """The error responses of every route that requires a key, and these."""
    return refused(400, 401, 403, *statuses, 429, 500, 503)


def problem(status: int, description: str = "") -> ResponseSpec:
    """The description of an error response (default: that of the status)."""
    description = description or DESCRIPTIONS[status]
    name = problems.slug(status)
    example: dict[str, Any] = {
        "type": f"/problems/{name}",
        "title": name.replace("-", " ").capitalize(),
        "status": status,
        "detail": description,
    }
    if status == 400:
        example |= {
            "detail": "limit: Expected `int` >= 1",
            "errors": [{"field": "limit", "reason": "Expected `int` >= 1"}],
        }
    return success(problems.ProblemDetails, description, example, problems.MEDIA_TYPE)


def last_part(handler: HTTPRouteHandler, _: Method, path: list[Any]) -> str:
    """The operation id of a handler with several paths: the last segment of each."""
    return str(path[-1]) if path else handler.handler_name


def also_as(*media_types: str) -> type[Operation]:
    """For `operation_class=` of a route that also responds in these media types."""

    @dataclass
    class SeveralForms(Operation):
        def __post_init__(self) -> None:
            for answer in (self.responses or {}).values():
                content = getattr(answer, "content", None)
                if content and problems.MEDIA_TYPE not in content:
                    (first,) = content.values()
                    content |= dict.fromkeys(media_types, first)

    return SeveralForms


@dataclass
class TakesEvents(Operation):
    """An operation whose handler reads the request body itself."""

    def __post_init__(self) -> None:
        either = cast("Schema", {"anyOf": [_EVENT, {"type": "array", "items": _EVENT, "minItems": 1}]})
        one, several = Example("One event", value=SENT_EVENT), Example("An array", value=[SENT_EVENT])
        lines = Schema(description="One JSON object per line, each an event as in application/json")
        self.request_body = RequestBody(
            required=True,
            description="One event, an array of events, or NDJSON (one event per line). It may be compressed "
            "(`Content-Encoding: gzip`). At most 16 MiB, both compressed and decompressed.",
            content={
                "application/json": OpenAPIMediaType(either, examples={"one": one, "several": several}),
                "application/x-ndjson": OpenAPIMediaType(lines),
            },
        )


def _event() -> dict[str, Any]:
    schema: dict[str, Any] = msgspec.json.schema(AuditEvent)["$defs"]["AuditEvent"]
    fields = {
        name: field | {"description": described.description(AuditEvent, name)}
        for name, field in schema["properties"].items()
    }
    return schema | {"description": "An audit event", "properties": fields}


_EVENT = _event()

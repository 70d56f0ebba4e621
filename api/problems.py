"""Turns every error into an RFC 9457 problem that names the field and what would be right."""

import logging
import math
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Any

import msgspec
import psycopg
import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException
from litestar.types import ASGIApp, ExceptionHandlersMap
from psycopg_pool import PoolClosed, PoolTimeout, TooManyRequests

from api.db.outage import reason

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_SECONDS = "5"
LONGEST_PATH = 200

SLUGS = {
    400: "validation",
    401: "unauthorized",
    403: "forbidden",
    404: "not-found",
    405: "method-not-allowed",
    408: "request-timeout",
    409: "conflict",
    413: "too-large",
    415: "unsupported-media-type",
    422: "idempotency-mismatch",
    429: "too-many-requests",
    431: "headers-too-large",
    499: "client-closed-request",
    503: "unavailable",
}

AnyRequest = Request[Any, Any, Any]

log = structlog.get_logger()


class FieldProblem(msgspec.Struct, frozen=True):
    """A field that is invalid, and what would be right."""

    field: str
    reason: str

    def __str__(self) -> str:
        return f"{self.field}: {self.reason}"


class ProblemDetails(msgspec.Struct, frozen=True, omit_defaults=True):
    """An error in the form of RFC 9457; docs/reference/problems.md lists the types."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[FieldProblem] = []


class Problem(Exception):  # noqa: N818 - the word of RFC 9457
    """An error for the client. `errors` names the invalid fields, each with what would be right."""

    def __init__(
        self,
        status: int,
        detail: str,
        errors: Sequence[FieldProblem] = (),
        *,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.errors = list(errors)
        self.headers = headers or {}


def invalid(field: str, reason: str, status: int = 400, *, headers: dict[str, str] | None = None) -> Problem:
    """A problem with one field, parameter or header."""
    error = FieldProblem(field, reason)
    return Problem(status, str(error), [error], headers=headers)


def unavailable(detail: str) -> Problem:
    """A problem after which the client may retry; `detail` says why, and of a POST what was stored."""
    return Problem(503, detail, headers={"Retry-After": RETRY_AFTER_SECONDS})


def too_many(detail: str, seconds: float | None = None) -> Problem:
    """A problem of a client that exceeds its own limit; it may retry after so many seconds (default: 5)."""
    after = RETRY_AFTER_SECONDS if seconds is None else str(max(1, math.ceil(seconds)))
    return Problem(429, detail, headers={"Retry-After": after})


def slug(status: int) -> str:
    """The stable name of the problem with that status."""
    return SLUGS.get(status, "internal" if status >= 500 else "request")


def answer_to(error: Exception, request: AnyRequest) -> ASGIApp:
    """The response to a request that failed outside of the framework, the same as within it."""
    handle = next(HANDLERS[kind] for kind in type(error).__mro__ if kind in HANDLERS)
    return handle(request, error).to_asgi_response(app=None, request=request)


def _answer(status: int, detail: str, errors: list[FieldProblem], **headers: str) -> Response[ProblemDetails]:
    name = slug(status)
    title = name.replace("-", " ").capitalize()
    content = ProblemDetails(f"/problems/{name}", title, status, detail, errors)
    return Response(content, status_code=status, media_type=MEDIA_TYPE, headers=headers)


def _of_problem(_: AnyRequest, problem: Problem) -> Response[ProblemDetails]:
    return _answer(problem.status, problem.detail, problem.errors, **problem.headers)


def _of_validation(_: AnyRequest, error: ValidationException) -> Response[ProblemDetails]:
    extra = error.extra if isinstance(error.extra, list) else []
    errors = [
        FieldProblem(_on_the_wire(str(item.get("key", ""))), str(item.get("message", "")))
        for item in extra
        if isinstance(item, dict)
    ]
    return _answer(400, "; ".join(map(str, errors)) or error.detail, errors)


def _on_the_wire(name: str) -> str:
    # The framework names the handler's argument, which the client writes in camel case.
    first, *rest = name.split("_")
    return first + "".join(map(str.capitalize, rest))


def _of_http(request: AnyRequest, error: HTTPException) -> Response[ProblemDetails]:
    headers = {name: value for name, value in (error.headers or {}).items() if name.lower() == "allow"}
    return _answer(error.status_code, _explained(request, error, "".join(headers.values())), [], **headers)


def _explained(request: AnyRequest, error: HTTPException, allowed: str) -> str:
    """The framework's detail, or more where that has only the name of the status."""
    if error.detail != HTTPStatus(error.status_code).phrase:
        return error.detail
    path = request.scope["path"][:LONGEST_PATH]
    if error.status_code == HTTPStatus.NOT_FOUND:
        return f"The path {path} does not exist; GET /schema lists those that do."
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        return f"{path} does not support {request.method}. Allowed: {allowed}."
    return error.detail


def _of_value(_: AnyRequest, error: psycopg.DataError) -> Response[ProblemDetails]:
    return _answer(400, f"PostgreSQL refused a value: {error.diag.message_primary or error}", [])


def _of_anything_else(_: AnyRequest, error: Exception) -> Response[ProblemDetails]:
    log.error("request failed", exc_info=error)
    return _answer(500, "Internal error; search the log for the X-Request-ID of this response.", [])


def _away(request: AnyRequest, error: Exception) -> Response[ProblemDetails]:
    log.warning("database unavailable", error=f"{type(error).__name__}: {error}".splitlines()[0])
    return _of_problem(request, unavailable(f"{reason(error)} {_stored(request)}"))


def _stored(request: AnyRequest) -> str:
    return "Nothing was stored; try again." if request.method == "POST" else "Try again."


def _unavailable(
    level: int, event: str, detail: str
) -> Callable[[AnyRequest, Exception], Response[ProblemDetails]]:
    def answer(request: AnyRequest, error: Exception) -> Response[ProblemDetails]:
        log.log(level, event, error=f"{type(error).__name__}: {error}".splitlines()[0])
        return _of_problem(request, unavailable(detail.format(stored=_stored(request))))

    return answer


_without_schema = _unavailable(
    logging.ERROR,
    "schema missing",
    "Ops Pipeline's tables are missing in the database. An operator must run `opsctl migrate`.",
)

_standby = _unavailable(
    logging.ERROR,
    "database is a standby",
    "The database has become a standby, which accepts no writes. {stored}",
)

HANDLERS: ExceptionHandlersMap = {
    Problem: _of_problem,
    ValidationException: _of_validation,
    HTTPException: _of_http,
    psycopg.OperationalError: _away,
    psycopg.DataError: _of_value,
    psycopg.errors.ReadOnlySqlTransaction: _standby,
    psycopg.errors.UndefinedTable: _without_schema,
    psycopg.errors.InvalidSchemaName: _without_schema,
    psycopg.errors.InsufficientPrivilege: _unavailable(
        logging.ERROR,
        "database privileges missing",
        "The API lacks a privilege in the database. An operator must grant it; PostgreSQL's error is in the "
        "log.",
    ),
    PoolTimeout: _away,
    PoolClosed: _away,
    TooManyRequests: _away,
    Exception: _of_anything_else,
}

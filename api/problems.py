"""Every error as an RFC 9457 problem: what it is, in which field, and what would be right."""

from typing import Any

import psycopg
import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException
from litestar.types import ASGIApp, ExceptionHandlersMap
from psycopg_pool import PoolClosed, PoolTimeout, TooManyRequests

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_SECONDS = "5"

SLUGS = {
    400: "validation",
    401: "unauthorized",
    403: "forbidden",
    404: "not-found",
    405: "method-not-allowed",
    413: "too-large",
    415: "unsupported-media-type",
    422: "idempotency-mismatch",
    503: "unavailable",
}

log = structlog.get_logger()


class Problem(Exception):  # noqa: N818 - the word of RFC 9457
    """An error for the client. `errors` names the fields, each with what would be right."""

    def __init__(
        self,
        status: int,
        detail: str,
        errors: list[dict[str, str]] | None = None,
        *,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.errors = errors or []
        self.headers = headers or {}


def slug(status: int) -> str:
    """The stable name of that kind of problem."""
    return SLUGS.get(status, "internal" if status >= 500 else "request")


def answer_to(error: Exception, request: Request[Any, Any, Any]) -> ASGIApp:
    """What a request that failed outside of the framework is answered with: the same as within it."""
    handle = next(HANDLERS[kind] for kind in type(error).__mro__ if kind in HANDLERS)
    return handle(request, error).to_asgi_response(app=None, request=request)


def _answer(
    status: int, detail: str, errors: list[dict[str, str]], **headers: str
) -> Response[dict[str, Any]]:
    name = slug(status)
    content: dict[str, Any] = {
        "type": f"/problems/{name}",
        "title": name.replace("-", " ").capitalize(),
        "status": status,
        "detail": detail,
    }
    if errors:
        content["errors"] = errors
    return Response(content, status_code=status, media_type=MEDIA_TYPE, headers=headers)


def _of_problem(_: Request[Any, Any, Any], problem: Problem) -> Response[dict[str, Any]]:
    return _answer(problem.status, problem.detail, problem.errors, **problem.headers)


def _of_validation(_: Request[Any, Any, Any], error: ValidationException) -> Response[dict[str, Any]]:
    extra = error.extra if isinstance(error.extra, list) else []
    errors = [
        {"field": _on_the_wire(str(each.get("key", ""))), "reason": str(each.get("message", ""))}
        for each in extra
        if isinstance(each, dict)
    ]
    named = "; ".join(f"{each['field']}: {each['reason']}" for each in errors)
    return _answer(400, named or error.detail, errors)


def _on_the_wire(name: str) -> str:
    # The framework names the handler's argument; the client wrote it in camel case.
    first, *rest = name.split("_")
    return first + "".join(map(str.capitalize, rest))


def _of_http(_: Request[Any, Any, Any], error: HTTPException) -> Response[dict[str, Any]]:
    headers = {name: value for name, value in (error.headers or {}).items() if name.lower() == "allow"}
    return _answer(error.status_code, error.detail, [], **headers)


def _of_database(_: Request[Any, Any, Any], error: Exception) -> Response[dict[str, Any]]:
    log.warning("database unavailable", error=f"{type(error).__name__}: {error}".splitlines()[0])
    detail = "The database does not answer in time. Nothing was stored; try again."
    return _answer(503, detail, [], **{"Retry-After": RETRY_AFTER_SECONDS})


def _of_value(_: Request[Any, Any, Any], error: psycopg.DataError) -> Response[dict[str, Any]]:
    return _answer(400, f"A value cannot be taken by PostgreSQL: {error.diag.message_primary or error}", [])


def _of_schema(_: Request[Any, Any, Any], error: psycopg.Error) -> Response[dict[str, Any]]:
    log.error("schema missing", error=str(error.diag.message_primary))
    detail = "The database lacks our tables. Its operator has to run `opsctl migrate`."
    return _answer(503, detail, [], **{"Retry-After": RETRY_AFTER_SECONDS})


def _of_rights(_: Request[Any, Any, Any], error: psycopg.Error) -> Response[dict[str, Any]]:
    log.error("database rights missing", error=str(error.diag.message_primary))
    detail = "The database does not let us do that. Its operator finds in the log what is missing."
    return _answer(503, detail, [], **{"Retry-After": RETRY_AFTER_SECONDS})


def _of_anything_else(_: Request[Any, Any, Any], error: Exception) -> Response[dict[str, Any]]:
    log.error("request failed", exc_info=error)
    return _answer(500, "Something went wrong here; the log knows it by the request id.", [])


HANDLERS: ExceptionHandlersMap = {
    Problem: _of_problem,
    ValidationException: _of_validation,
    HTTPException: _of_http,
    psycopg.OperationalError: _of_database,
    psycopg.DataError: _of_value,
    psycopg.errors.UndefinedTable: _of_schema,
    psycopg.errors.InvalidSchemaName: _of_schema,
    psycopg.errors.InsufficientPrivilege: _of_rights,
    PoolTimeout: _of_database,
    PoolClosed: _of_database,
    TooManyRequests: _of_database,
    Exception: _of_anything_else,
}

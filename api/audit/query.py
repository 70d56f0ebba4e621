"""Reads the filters of an audit query from the URL, and refuses invalid ones with their name."""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from litestar.di import NamedDependency
from litestar.params import QueryParameter, SkipValidation

import sql
from api.db.pool import Pool
from api.problems import AnyRequest, invalid
from ops_pipeline.audit import search, times
from ops_pipeline.audit.cursor import CursorError, Cursors, Position
from ops_pipeline.audit.filters import Filters

FILTERS = (
    "eventType", "userId", "resourceType", "resourceId", "action", "status", "ip", "actor", "q",
    "startDate", "endDate",
)  # fmt: skip
MOST_ROWS = 1000

WITHOUT_NUL = r"^[^\x00]*$"
TIME = "inclusive: ISO 8601 (UTC without a zone), such as 2026-01-31T12:00:00Z, or now, -15m, -36h, -7d, -2w"


@dataclass(frozen=True, slots=True)
class AuditQuery:
    """The filters of a request: `sent`, their texts, and `given`, the same in a normalized spelling."""

    filters: Filters
    sent: dict[str, str]
    given: dict[str, str]
    start_is_relative: bool

    @property
    def question(self) -> str:
        """The text that a cursor is bound to."""
        return msgspec.json.encode(self.given, order="sorted").decode()

    def position(self, created_at: datetime, event_id: UUID) -> Position:
        """The position after a returned event."""
        return Position(created_at, event_id, self.filters.start_date if self.start_is_relative else None)

    def behind(self, position: Position) -> "AuditQuery":
        """The same query, continuing after that position."""
        start = position.start or self.filters.start_date
        return replace(self, filters=replace(self.filters, after=position, start_date=start))


InjectedQuery = SkipValidation[NamedDependency[AuditQuery]]
"""The type of a handler's parameter `audit_query`."""


async def read_query(  # noqa: PLR0913, PLR0917 - one for each filter
    request: AnyRequest,
    # Spelled out for each parameter: the framework ignores the outer one of nested annotations.
    event_type: Annotated[
        str | None,
        QueryParameter(name="eventType", description="The event's type", max_length=255, pattern=WITHOUT_NUL),
    ] = None,
    user_id: Annotated[UUID | None, QueryParameter(name="userId", description="The user who acted")] = None,
    resource_type: Annotated[
        str | None,
        QueryParameter(
            name="resourceType",
            description="The type of the resource",
            max_length=255,
            pattern=WITHOUT_NUL,
        ),
    ] = None,
    resource_id: Annotated[
        UUID | None, QueryParameter(name="resourceId", description="The id of the resource")
    ] = None,
    action: Annotated[
        str | None, QueryParameter(description="What was done", max_length=255, pattern=WITHOUT_NUL)
    ] = None,
    status: Annotated[
        Literal["success", "failure", "pending"] | None, QueryParameter(description="How it ended")
    ] = None,
    ip: Annotated[
        str | None, QueryParameter(description="An address, or a network such as 192.0.2.0/24")
    ] = None,
    actor: Annotated[
        str | None,
        QueryParameter(description="The event's created_by", max_length=255, pattern=WITHOUT_NUL),
    ] = None,
    q: Annotated[
        str | None,
        QueryParameter(
            description="Searches the details: key:value terms, all of which must match, such as "
            'errorCode:AccessDenied userIdentity.type:"Root"'
        ),
    ] = None,
    start_date: Annotated[
        str | None, QueryParameter(name="startDate", description=f"The earliest time, {TIME}")
    ] = None,
    end_date: Annotated[
        str | None, QueryParameter(name="endDate", description=f"The latest time, {TIME}")
    ] = None,
) -> AuditQuery:
    """The filters of a request, a dependency of every route that has filters."""
    return audit_query(
        dict(request.query_params.items()),
        event_type=event_type,
        user_id=user_id,
        resource_type=resource_type,
        resource_id=resource_id,
        action=action,
        status=status,
        ip=ip,
        actor=actor,
        q=q,
        start_date=start_date,
        end_date=end_date,
    )


def audit_query(
    parameters: Mapping[str, str],
    *,
    ip: str | None,
    q: str | None,
    start_date: str | None,
    end_date: str | None,
    **equal: Any,
) -> AuditQuery:
    """The query with these filters, the arguments of `read_query`, of a request with these query parameters.

    Raises Problem 400."""
    now = datetime.now(UTC)
    filters = Filters(
        ip=_network(ip),
        q=_search(q),
        start_date=_time("startDate", start_date, now),
        end_date=_time("endDate", end_date, now),
        **equal,
    )
    sent = {name: text for name, text in parameters.items() if name in FILTERS}
    given = {**sent}
    for name, value in (
        ("startDate", filters.start_date), ("endDate", filters.end_date), ("ip", filters.ip),
        ("userId", filters.user_id), ("resourceId", filters.resource_id),
    ):  # fmt: skip
        if name in given and not times.is_relative(given[name]):
            given[name] = value.isoformat() if isinstance(value, datetime) else str(value)
    is_relative = start_date is not None and times.is_relative(start_date)
    return AuditQuery(filters, sent, given, start_is_relative=is_relative)


class SharedCursors:
    """Reads and writes cursors with the secret in the database, which is read once."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._cursors: Cursors | None = None

    async def get(self) -> Cursors:
        """The signer and reader of cursors. Raises psycopg.Error or PoolTimeout."""
        if self._cursors is None:
            ((secret,),) = await self._pool.rows("select", sql.get("api/audit/cursor_secret"))
            self._cursors = Cursors(secret)
        return self._cursors

    async def going_on(self, question: AuditQuery, field: str, cursor: str | None) -> AuditQuery:
        """The query, continuing after the cursor of that parameter. Raises Problem 400."""
        if cursor is None:
            return question
        try:
            return question.behind((await self.get()).read(cursor, question.question))
        except CursorError as error:
            raise invalid(field, str(error)) from error


def _network(text: str | None) -> str | None:
    if text is None:
        return None
    try:
        # An IPv6 address may have a zone ("fe80::1%eth0"), which the type inet does not support.
        return str(ipaddress.ip_network("" if "%" in text else text, strict=False))
    except ValueError as error:
        reason = f"{text[:50]!r} is not an address or network such as 192.0.2.7 or 2001:db8::/32"
        raise invalid("ip", reason) from error


def _search(text: str | None) -> str | None:
    if text is None:
        return None
    try:
        search.parse(text)
    except search.SearchError as error:
        raise invalid("q", str(error)) from error
    return text


def _time(field: str, text: str | None, now: datetime) -> datetime | None:
    if text is None:
        return None
    try:
        return times.read(text, now)
    except ValueError as error:
        raise invalid(field, str(error)) from error

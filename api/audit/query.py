"""Reads the filters of an audit query from the URL, and refuses invalid ones by name."""

import ipaddress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Annotated, Literal
from uuid import UUID

import msgspec
from litestar.di import NamedDependency
from litestar.params import QueryParameter, SkipValidation

import sql
from api.db.pool import Pool
from api.problems import AnyRequest, FieldProblem, Problem, invalid
from ops_pipeline.audit import search, times
from ops_pipeline.audit.cursor import CursorError, Cursors, Position
from ops_pipeline.audit.filters import Filters

FILTERS = (
    "eventType", "userId", "resourceType", "resourceId", "action", "status", "ip", "actor", "q",
    "startDate", "endDate",
)  # fmt: skip
MOST_ROWS = 1000

WITHOUT_NUL = r"^[^\x00]*$"
TIME = f"{times.FORMS}. Without a zone it is UTC. The moment itself is included."
Text = Annotated[str | None, QueryParameter(max_length=255, pattern=WITHOUT_NUL)]


@dataclass(frozen=True, slots=True)
class AuditQuery:
    """The filters of a request, and `given`, the same as they were written, in one spelling."""

    filters: Filters
    given: dict[str, str]
    start_is_relative: bool

    @property
    def question(self) -> str:
        """What a cursor is bound to."""
        return msgspec.json.encode(self.given, order="sorted").decode()

    def position(self, created_at: datetime, event_id: UUID) -> Position:
        """The place behind an event that was answered with."""
        return Position(created_at, event_id, self.filters.start_date if self.start_is_relative else None)

    def behind(self, position: Position) -> "AuditQuery":
        """The same question, going on there."""
        start = position.start or self.filters.start_date
        return replace(self, filters=replace(self.filters, after=position, start_date=start))


InjectedQuery = SkipValidation[NamedDependency[AuditQuery]]
"""The type of a handler's parameter `audit_query`."""


async def read_query(  # noqa: PLR0913, PLR0917 - a filter each
    request: AnyRequest,
    # One parameter each: of two that are nested, the framework takes the inner one alone.
    event_type: Annotated[
        str | None, QueryParameter(name="eventType", max_length=255, pattern=WITHOUT_NUL)
    ] = None,
    user_id: Annotated[UUID | None, QueryParameter(name="userId")] = None,
    resource_type: Annotated[
        str | None, QueryParameter(name="resourceType", max_length=255, pattern=WITHOUT_NUL)
    ] = None,
    resource_id: Annotated[UUID | None, QueryParameter(name="resourceId")] = None,
    action: Text = None,
    status: Annotated[Literal["success", "failure", "pending"] | None, QueryParameter()] = None,
    ip: Annotated[
        str | None, QueryParameter(description="An address, or a network such as 192.0.2.0/24")
    ] = None,
    actor: Annotated[
        str | None,
        QueryParameter(description="The caller: created_by", max_length=255, pattern=WITHOUT_NUL),
    ] = None,
    q: Annotated[
        str | None,
        QueryParameter(
            description="A search in the details: key:value terms, all of which have to match, such as "
            'errorCode:AccessDenied userIdentity.type:"Root"'
        ),
    ] = None,
    start_date: Annotated[str | None, QueryParameter(name="startDate", description=TIME)] = None,
    end_date: Annotated[str | None, QueryParameter(name="endDate", description=TIME)] = None,
) -> AuditQuery:
    """The filters of a request, as a dependency of every route that has them.

    A parameter that is unknown to the route (its own are in `opt["parameters"]`) or is repeated is
    refused: left out, it would silently change what the answer means.
    """
    refuse_unknown(request, (*FILTERS, *request.route_handler.opt.get("parameters", ())))
    now = datetime.now(UTC)
    filters = Filters(
        event_type=event_type,
        user_id=user_id,
        resource_type=resource_type,
        resource_id=resource_id,
        action=action,
        status=status,
        ip=_network(ip),
        actor=actor,
        q=_search(q),
        start_date=_time("startDate", start_date, now),
        end_date=_time("endDate", end_date, now),
    )
    given = {name: text for name, text in request.query_params.items() if name in FILTERS}
    for name, value in (
        ("startDate", filters.start_date), ("endDate", filters.end_date), ("ip", filters.ip),
        ("userId", user_id), ("resourceId", resource_id),
    ):  # fmt: skip
        if name in given and not times.is_relative(given[name]):
            given[name] = value.isoformat() if isinstance(value, datetime) else str(value)
    return AuditQuery(
        filters, given, start_is_relative=start_date is not None and times.is_relative(start_date)
    )


def refuse_unknown(request: AnyRequest, known: tuple[str, ...]) -> None:
    """Raises Problem 400 naming each query parameter that is not known, or that is there twice."""
    names = [name for name, _ in request.query_params.multi_items()]
    reason = f"there is no such parameter; there is: {', '.join(known)}"
    errors = [FieldProblem(name, reason) for name in sorted(set(names) - set(known))]
    errors += [
        FieldProblem(name, "is given more than once; give it once")
        for name in sorted(set(names) & set(known))
        if names.count(name) > 1
    ]
    if errors:
        raise Problem(400, "; ".join(map(str, errors)), errors)


class SharedCursors:
    """Reads and writes cursors with the secret that is kept in the database; it is read once."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._cursors: Cursors | None = None

    async def get(self) -> Cursors:
        """What signs and reads them. Raises psycopg.Error or PoolTimeout."""
        if self._cursors is None:
            ((secret,),) = await self._pool.rows("select", sql.get("api/audit/cursor_secret"))
            self._cursors = Cursors(secret)
        return self._cursors

    async def going_on(self, question: AuditQuery, field: str, cursor: str | None) -> AuditQuery:
        """The question behind the cursor that came as that parameter. Raises Problem 400."""
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
        # An IPv6 address may name a zone ("fe80::1%eth0"), which inet does not have.
        return str(ipaddress.ip_network("" if "%" in text else text, strict=False))
    except ValueError as error:
        reason = f"{text[:50]!r} is no address and no network, such as 192.0.2.7 or 2001:db8::/32"
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

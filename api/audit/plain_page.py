"""Answers a plain GET of a page of events."""

from litestar import Request
from litestar.status_codes import HTTP_200_OK
from litestar.types import HTTPScope, Receive, Send

from api.audit.plain import answer
from api.audit.query import audit_query, read_query
from api.audit.routes import PATH, SCOPE, find_events
from api.auth.caller import Caller, remember
from api.parameters import Convertible
from api.problems import AnyRequest, answer_to
from api.services import Services

find = find_events.fn
FILTERS, PAGING = Convertible(read_query), Convertible(find)


class PlainPage:
    """Plain means: each parameter exists, is specified once, and has a value of its type. The route's own
    functions do the rest."""

    path = PATH
    key_scope = SCOPE

    def __init__(self, services: Services) -> None:
        self._services = services

    async def handle(self, scope: HTTPScope, receive: Receive, send: Send, caller: Caller) -> Receive | None:
        """As `fast_path.Plain` says."""
        request: AnyRequest = Request(scope)
        given = request.query_params
        once = dict(given.items())
        if len(once) < len(given) or once.keys() - FILTERS.names - PAGING.names:
            return receive
        filters, paging = FILTERS.converted(once), PAGING.converted(once)
        if filters is None or paging is None:
            return receive
        scope["path_template"] = PATH
        remember(scope, caller)
        try:
            query = audit_query(once, **filters)
            response = await find(request, self._services, query, **paging)
        except Exception as error:  # the response that the framework would give
            await answer_to(error, request)(scope, receive, send)
            return None
        await answer(send, HTTP_200_OK, response.content, response.headers)
        return None

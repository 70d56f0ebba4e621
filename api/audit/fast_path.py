"""Answers the two most frequent requests, plain posts and pages, without the framework's overhead."""

from collections.abc import Iterable

from litestar import Request
from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPScope, Receive, Scope, Send

from api.audit.ingest import IDEMPOTENCY_KEY
from api.audit.plain import Plain
from api.audit.plain_page import PlainPage
from api.audit.plain_post import PlainPost
from api.auth.caller import Caller
from api.auth.keys import bearer
from api.limits.released import USAGE
from api.problems import Problem, answer_to
from api.services import Services
from ops_pipeline.serving import known_sender

PARTICULAR = (b"content-encoding", IDEMPOTENCY_KEY.lower().encode())


class FastPath:
    """An ASGI application that answers plain requests itself and passes all else to the framework.

    Plain means: a valid request with a key looked up in the last 2 seconds. Nothing is refused here: a
    request that may be invalid is passed on unchanged, and the framework's route refuses it with the reason.
    Both use the same code to check keys and to do what is asked."""

    def __init__(self, app: ASGIApp, services: Services) -> None:
        self._app = app
        self._known_keys = services.known_keys
        self._limits = services.limits
        self._routes: dict[tuple[str, str], Plain] = {
            ("POST", PlainPost.path): PlainPost(services),
            ("GET", PlainPage.path): PlainPage(services),
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if (
            scope["type"] == ScopeType.HTTP
            and (plain := self._routes.get((scope["method"], scope["path"]))) is not None
            and (caller := self._plain_caller(scope)) is not None
            and caller.may(plain.key_scope)
        ):
            try:
                scope["state"][USAGE] = self._limits.begin_request(caller.id)
            except Problem as problem:
                scope["path_template"] = scope["path"]
                await answer_to(problem, Request(scope))(scope, receive, send)
                return
            known_sender.tell(scope)
            from_beginning = await plain.handle(scope, receive, send, caller)
            if from_beginning is None:
                return
            receive = from_beginning
        await self._app(scope, receive, send)

    def _plain_caller(self, scope: HTTPScope) -> Caller | None:
        key = _plain_key(scope["headers"])
        return self._known_keys.remembered(key) if key is not None else None


def _plain_key(headers: Iterable[tuple[bytes, bytes]]) -> str | None:
    """The key of a plain request; None when the request is not plain."""
    key = None
    for name, value in headers:
        if name == b"authorization":
            if key is not None or (key := bearer(value.decode("latin-1"))) is None:
                return None
        elif name in PARTICULAR or (name == b"content-type" and value != b"application/json"):
            return None
    return key

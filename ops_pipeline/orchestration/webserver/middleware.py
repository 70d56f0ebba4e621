"""The sign-in middleware in front of Dagster's web application: admits our own pages and signed-in people."""

import asyncio
from collections.abc import Callable
from urllib.parse import quote

import dagster as dg
from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ops_pipeline.orchestration import identity
from ops_pipeline.orchestration.identity import Person
from ops_pipeline.orchestration.webserver import documentation, posted, validation
from ops_pipeline.orchestration.webserver.addresses import Addresses
from ops_pipeline.orchestration.webserver.changes import HARMLESS, Changes
from ops_pipeline.orchestration.webserver.document import Document, Mutation
from ops_pipeline.orchestration.webserver.downloads import Downloads
from ops_pipeline.orchestration.webserver.evidence import Evidence, begun
from ops_pipeline.orchestration.webserver.known_keys import KnownKeys
from ops_pipeline.orchestration.webserver.people import People
from ops_pipeline.orchestration.webserver.posted import GRAPHQL
from ops_pipeline.orchestration.webserver.refusal import Refusal, refuse_cut_off
from ops_pipeline.orchestration.webserver.sessions import Sessions
from ops_pipeline.orchestration.webserver.sign_in import PATHS, SignIn, cookie_of
from ops_pipeline.orchestration.webserver.subscriptions import Subscriptions
from ops_pipeline.orchestration.webserver.usage import Usage
from ops_pipeline.serving import connections

OPEN = {"/server_info"}
"""Answered without a sign-in: the versions, for health checks."""
METHODS = {"GET", "HEAD", "POST"}
CHECK_SECONDS = 30.0
"""How often a websocket's session is checked again."""
HEADERS = {"X-Frame-Options": "SAMEORIGIN", "Cross-Origin-Resource-Policy": "same-origin"}


class SignInMiddleware:
    """An ASGI application around Dagster's.

    Every request must name us as its host and come from none but our own pages; only JSON is posted, and
    GraphQL is only posted. What is left needs a person: a session, a key, or the name that a proxy gives.
    Dagster's application finds the person in the scope, at `identity.IN_SCOPE`. `find_run` looks a run of its
    instance up by its id; `most_connections` are those of the server.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        addresses: Addresses,
        keys: KnownKeys,
        evidence: Evidence,
        sessions: Sessions,
        find_run: Callable[[str], dg.DagsterRun | None],
        user_header: str | None = None,
        most_connections: int = connections.MOST,
    ) -> None:
        validation.bound_comparisons()
        self._app = app
        self._addresses = addresses
        self._evidence = evidence
        self._people = People(keys, evidence, sessions, user_header, cookie_of(addresses))
        self._changes = Changes(find_run)
        self._sign_in = SignIn(self._people, addresses)
        self._documentation = documentation.find()
        self._usage = Usage(most_connections)
        self._downloads = Downloads(app, find_run)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        request = HTTPConnection(scope, receive)
        send = _with_headers(send)
        try:
            refuse_cut_off(scope)
            self._addresses.require_ours(request)
            if (own := await self._own_page(request, receive)) is not None:
                await own(scope, receive, send)
                return
            if scope["type"] == "http":
                _require_plain(request)
            if scope["type"] == "http" and scope["path"] in OPEN:
                await self._app(scope, receive, send)
                return
            person = await self._people.who(request)
            if person is None:
                await self._ask_to_sign_in(request, receive, send)
                return
            async with self._usage.counted(scope, person):
                await self._pass_on(request, person, receive, send)
        except Refusal as refusal:
            await refusal.answer(request, receive, send)

    async def _pass_on(self, request: HTTPConnection, person: Person, receive: Receive, send: Send) -> None:
        scope, receive = await self._judged(request.scope, receive, person)
        refused = identity.Refused()
        known = {**scope, identity.IN_SCOPE: person, identity.REFUSED_IN_SCOPE: refused}
        if scope["type"] == "websocket":
            subscriptions = Subscriptions(receive, self._usage.turn(person))
            try:
                await self._while_signed_in(request, known, subscriptions.next, send)
            finally:
                subscriptions.end_turn()
            return

        async def send_refused(message: Message) -> None:
            if message["type"] == "http.response.start" and refused.outside_of_limit:
                jobs = {"jobs": refused.outside_of_limit}
                await self._evidence.outside_of_limit(request, person, jobs)
            if message["type"] == "http.response.start" and (refused.outside_of_limit or refused.unfit):
                # Dagster answers 500 where a resolver raised, as if the fault were ours.
                message = {**message, "status": 403}
            await send(message)

        if scope["method"] == "POST" or not await self._downloads.serve(known, send):
            await self._app(known, receive, send_refused)

    async def _own_page(self, request: HTTPConnection, receive: Receive) -> Response | None:
        if request.scope["type"] == "http" and request.scope["path"] in PATHS:
            return await self._sign_in.answer(request, receive)
        if request.scope["type"] == "http" and documentation.is_documentation(request.scope["path"]):
            # A link in a message leads here; the pages are not secret.
            return self._documentation.answer(request)
        return None

    async def _judged(self, scope: Scope, receive: Receive, person: Person) -> tuple[Scope, Receive]:
        """The request as Dagster is to read it. Raises Refusal when the person may not send it."""
        if scope["type"] == "websocket":
            return scope, receive
        if scope["method"] == "POST":
            await self._require_graphql(HTTPConnection(scope), receive, person)
            read = await posted.read(scope, receive)
            await self._permit(HTTPConnection(scope), read.document, person)
            return read.scope, read.receive
        if scope["path"] == GRAPHQL:
            # Of a GET Dagster would execute the address.
            return {**scope, "query_string": b""}, receive
        return scope, receive

    async def _require_graphql(self, request: HTTPConnection, receive: Receive, person: Person) -> None:
        """Raises Refusal for another address: Dagster's `/report_asset_…` store any check or materialization,
        also one of our policies, and no page of its UI needs them."""
        if (path := request.scope["path"]) == GRAPHQL:
            return
        content = await posted.read_json(request.scope, receive)
        given = {"query": request.url.query, "body": content}
        await self._evidence.refused_change(request, person, Mutation(path, given))
        raise Refusal(
            403,
            f"{path[:100]}: events are not reported to this Dagster UI; a run of a policy records its own. "
            f"Nothing was done. Send GraphQL to {GRAPHQL}",
        )

    async def _permit(self, request: HTTPConnection, document: Document, person: Person) -> None:
        """Records the changes that were posted. Raises Refusal when they are not the person's to make."""
        changes = [mutation for mutation in document.mutations if mutation.name not in HARMLESS]
        try:
            await self._changes.refuse(document, person)
        except Refusal:
            await self._evidence.outside_of_limit(request, person, {"changes": begun(changes)})
            raise
        if changes:
            await self._evidence.changing(request, person, changes)

    async def _ask_to_sign_in(self, request: HTTPConnection, receive: Receive, send: Send) -> None:
        if request.scope["type"] == "http" and _is_page(request):
            back = quote(str(request.url.path) + (f"?{request.url.query}" if request.url.query else ""))
            away = RedirectResponse(f"/sign-in?next={back}", 303, {"Cache-Control": "no-store"})
            await away(request.scope, receive, send)
            return
        self._evidence.without_key(request)
        raise Refusal(
            401,
            f"Not signed in, or the session has ended. Open {self._addresses.public}/sign-in, or send a key "
            "with the scope maintenance:write as Authorization: Bearer <key>",
            {"WWW-Authenticate": "Bearer"},
        )

    async def _while_signed_in(
        self, request: HTTPConnection, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Serves a websocket until it ends, or its person is not signed in any more."""
        served = asyncio.ensure_future(self._app(scope, receive, send))
        try:
            while not (await asyncio.wait({served}, timeout=CHECK_SECONDS))[0]:
                try:
                    person = await self._people.who(request, now=True)
                except Refusal:
                    person = None
                if person is None:
                    await send({"type": "websocket.close", "code": 1008, "reason": "The session has ended"})
                    return
            served.result()
        except Refusal as refusal:
            await send({"type": "websocket.close", "code": 1008, "reason": refusal.short})
        finally:
            served.cancel()


def _require_plain(request: HTTPConnection) -> None:
    """Refuses what a page of another origin could send without asking: GraphQL in the address, and bodies of
    a form. Raises Refusal."""
    method, path = request.scope["method"], request.scope["path"]
    if any(character < " " for character in path):
        # The routes of Dagster also match with a line end behind them.
        raise Refusal(400, "The path has a control character. Nothing was done")
    if method not in METHODS:
        allowed = ", ".join(sorted(METHODS))
        raise Refusal(405, f"Method not allowed: {method}. Allowed: {allowed}", {"Allow": allowed})
    if method == "POST":
        kinds = request.headers.getlist("content-type")
        if len(kinds) != 1 or kinds[0].partition(";")[0].strip().lower() != "application/json":
            raise Refusal(415, "Only JSON may be sent by POST: Content-Type: application/json")
    elif path == GRAPHQL and "text/html" not in request.headers.get("accept", ""):
        # For text/html Dagster sends the playground's page, and executes nothing.
        raise Refusal(405, "Send GraphQL by POST, as application/json", {"Allow": "POST"})


def _is_page(request: HTTPConnection) -> bool:
    return request.scope["method"] == "GET" and "text/html" in request.headers.get("accept", "")


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
        await send(message)

    return sending

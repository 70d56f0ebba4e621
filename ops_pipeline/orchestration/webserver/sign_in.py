"""The page on which people sign in to the Dagster UI with a key, and sign out."""

import html
import secrets
from dataclasses import dataclass
from pathlib import Path
from string import Template
from urllib.parse import parse_qs, urlsplit

from starlette.requests import HTTPConnection
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import Receive

from ops_pipeline.access.keys import hashed
from ops_pipeline.orchestration.identity import Person
from ops_pipeline.orchestration.webserver.addresses import Addresses
from ops_pipeline.orchestration.webserver.people import SCOPE, People
from ops_pipeline.orchestration.webserver.posted import read_body
from ops_pipeline.orchestration.webserver.refusal import Refusal
from ops_pipeline.orchestration.webserver.sessions import LASTS_SECONDS

PATHS = {"/sign-in", "/sign-out"}
MOST_BYTES = 8192
USED = "This link was used before, or `opsctl up` has been restarted; use the link it printed last, or a key."
PAGE = Template(Path(__file__).with_name("sign_in.html").read_text(encoding="utf-8"))


def cookie_of(addresses: Addresses) -> str:
    """The cookie's name. Browsers share cookies between the ports of a host, so it has the port; over HTTPS
    its prefix keeps other hosts from setting it."""
    if addresses.secure:
        return "__Host-ops_session"
    return f"ops_session_{urlsplit(addresses.public).port or 80}"


@dataclass(frozen=True, slots=True)
class SignIn:
    """Answers /sign-in and /sign-out."""

    people: People
    addresses: Addresses

    async def answer(self, request: HTTPConnection, receive: Receive) -> Response:
        """The response. Raises Refusal for another method, and for a body that is not a short form."""
        method, path = request.scope["method"], request.scope["path"]
        if method == "GET" and path == "/sign-in":
            return await self._show(request)
        if method == "POST" and path == "/sign-in":
            return await self._sign_in(request, await _form(request, receive))
        if method == "POST":
            return self._sign_out(request)
        allowed = "GET, POST" if path == "/sign-in" else "POST"
        raise Refusal(405, f"Method not allowed: {method}. Allowed: {allowed}", {"Allow": allowed})

    async def _show(self, request: HTTPConnection) -> Response:
        token = request.query_params.get("token")
        if token is not None and (opened := self.people.sessions.open_first(token)) is not None:
            return self._with_session(opened, "/")
        try:
            person = await self.people.who(request)
        except Refusal as refusal:
            return self._page(request, refusal=refusal)
        if token is not None and person is not None:
            return _redirect("/")
        if token is not None:
            return self._page(request, refusal=Refusal(401, USED))
        return self._page(request, person=person)

    async def _sign_in(self, request: HTTPConnection, form: dict[str, str]) -> Response:
        back, key = _path(form.get("next", "/")), form.get("key", "").strip()
        try:
            grant = await self.people.grant(request, key)
            await self.people.keys.record_sign_in(grant)
        except Refusal as refusal:
            return self._page(request, back=back, refusal=refusal)
        return self._with_session(self.people.sessions.open(grant.name, hashed(key)), back)

    def _sign_out(self, request: HTTPConnection) -> Response:
        if token := request.cookies.get(self.people.cookie):
            self.people.sessions.close(token)
        answer = _redirect("/sign-in")
        answer.delete_cookie(self.people.cookie, secure=self.addresses.secure, httponly=True, samesite="lax")
        return answer

    def _with_session(self, token: str, back: str) -> Response:
        answer = _redirect(back)
        # Lax: a link in a message opens the page that it names; nothing is changed by a GET.
        answer.set_cookie(
            self.people.cookie,
            token,
            max_age=int(LASTS_SECONDS),
            secure=self.addresses.secure,
            httponly=True,
            samesite="lax",
        )
        return answer

    def _page(
        self,
        request: HTTPConnection,
        *,
        person: Person | None = None,
        back: str | None = None,
        refusal: Refusal | None = None,
    ) -> Response:
        problem = refusal.reason if refusal else ""
        nonce = secrets.token_urlsafe(16)
        shown = PAGE.substitute(
            nonce=nonce,
            state="signed-in" if person else "signed-out",
            person=html.escape(person.name if person else ""),
            limit=html.escape(_limit(person)),
            problem=html.escape(problem),
            has_problem="problem" if problem else "no-problem",
            next=html.escape(back or _path(request.query_params.get("next", "/"))),
            scope=SCOPE,
        )
        policy = f"default-src 'none'; style-src 'nonce-{nonce}'; form-action 'self'; frame-ancestors 'none'"
        headers = {
            "Content-Security-Policy": f"{policy}; base-uri 'none'",
            "Cache-Control": "no-store",
            "Referrer-Policy": "same-origin",
        }
        return HTMLResponse(
            shown, refusal.status if refusal else 200, (refusal.headers if refusal else {}) | headers
        )


def _limit(person: Person | None) -> str:
    if person is None or person.databases is None:
        return ""
    return f", for runs of {', '.join(person.databases)}"


def _redirect(to: str) -> RedirectResponse:
    return RedirectResponse(to, 303, {"Cache-Control": "no-store"})


def _path(text: str) -> str:
    """The path on our own site, or `/`: a link may not lead to another site after the sign-in."""
    ours = text.startswith("/") and not text.startswith(("//", "/\\")) and text.isprintable()
    return text if ours else "/"


async def _form(request: HTTPConnection, receive: Receive) -> dict[str, str]:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise Refusal(415, "A form is required: Content-Type: application/x-www-form-urlencoded")
    body = await read_body(request.scope, receive, MOST_BYTES)
    try:
        fields = parse_qs(body.decode(), strict_parsing=bool(body), max_num_fields=10)
    except ValueError:
        raise Refusal(400, "The form is invalid") from None
    return {name: values[0] for name, values in fields.items()}

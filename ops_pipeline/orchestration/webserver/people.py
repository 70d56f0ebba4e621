"""Finds out who sends a request: a proxy says so, or a key, or the cookie of a session."""

from dataclasses import dataclass

from starlette.requests import HTTPConnection

from ops_pipeline.access.keys import PREFIX, KeyGrant, hashed
from ops_pipeline.orchestration.identity import Person
from ops_pipeline.orchestration.webserver.known_keys import KnownKeys
from ops_pipeline.orchestration.webserver.refusal import Refusal
from ops_pipeline.orchestration.webserver.sessions import Sessions

MOST_NAME = 255


@dataclass(frozen=True, slots=True)
class People:
    """`user_header`: the header in which a trusted proxy names the person, or None; `cookie`: its name."""

    keys: KnownKeys
    sessions: Sessions
    user_header: str | None
    cookie: str

    async def who(self, request: HTTPConnection, *, now: bool = False) -> Person | None:
        """The person; None when the request says nothing about it, or its session has ended. `now`: by the
        key as it is now, not as it was up to half a minute ago.

        The databases are those of the key as it is now; without a key there is no limit. Raises Refusal when
        what the request says is invalid.
        """
        if (named := self._named_by_proxy(request)) is not None:
            return Person(named)
        if (key := _one(request, "authorization")) is not None and key.lower().startswith("bearer "):
            grant = await self.grant(key[len("bearer ") :].strip(), now=now)
            return Person(grant.name, grant.databases)
        return await self._of_session(request, now)

    async def grant(self, key: str, *, now: bool = False) -> KeyGrant:
        """The key's grant. Raises Refusal: 401 for an invalid key, 403 for one without our scope, 503."""
        grant = await self.keys.grant(hashed(key), now=now) if key.startswith(PREFIX) else None
        if grant is None:
            raise Refusal(
                401,
                "The key is invalid; it may have expired or been revoked",
                {"WWW-Authenticate": 'Bearer error="invalid_token"'},
            )
        return grant

    def _named_by_proxy(self, request: HTTPConnection) -> str | None:
        if self.user_header is None or (value := _one(request, self.user_header)) is None:
            return None
        # Headers arrive as Latin-1; proxies send names in UTF-8.
        return value.encode("latin-1").decode("utf-8", "replace").strip()[:MOST_NAME] or None

    async def _of_session(self, request: HTTPConnection, now: bool) -> Person | None:
        token = request.cookies.get(self.cookie)
        session = None if token is None else self.sessions.find(token)
        if token is None or session is None:
            return None
        if session.key_hash is None:
            return Person(session.person)
        if (grant := await self.keys.grant(session.key_hash, now=now)) is None:
            self.sessions.close(token)
            return None
        return Person(session.person, grant.databases)


def _one(request: HTTPConnection, header: str) -> str | None:
    values = request.headers.getlist(header)
    if len(values) > 1:  # a proxy may have checked the other one
        raise Refusal(400, f"The header {header} is sent more than once; send it once")
    return values[0] if values else None

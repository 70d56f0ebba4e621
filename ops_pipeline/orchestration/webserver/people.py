"""Finds out who sends a request: a proxy says so, or a key, or the cookie of a session."""

from contextlib import nullcontext
from dataclasses import dataclass

from starlette.requests import HTTPConnection

from ops_pipeline.access.keys import MAINTENANCE, PREFIX, KeyGrant, hashed
from ops_pipeline.orchestration.identity import Person
from ops_pipeline.orchestration.webserver.evidence import Evidence
from ops_pipeline.orchestration.webserver.known_keys import KnownKeys
from ops_pipeline.orchestration.webserver.refusal import Refusal
from ops_pipeline.orchestration.webserver.sessions import Sessions

MOST_NAME = 255
SCOPE = MAINTENANCE
"""What a key needs to use the Dagster UI."""


@dataclass(frozen=True, slots=True)
class People:
    """`user_header`: the header in which a trusted proxy names the person, or None; `cookie`: its name."""

    keys: KnownKeys
    evidence: Evidence
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
            grant = await self.grant(request, key[len("bearer ") :].strip(), now=now)
            return Person(grant.name, grant.databases, grant.id)
        return await self._of_session(request, now)

    async def grant(self, request: HTTPConnection, key: str, *, now: bool = False) -> KeyGrant:
        """The grant of the key that the request has.

        Raises Refusal: 401 for an invalid key, 429 for one of an address that has sent too many, 403 for one
        without our scope, 503. Each but the last leaves a trace in the audit log.
        """
        key_hash = hashed(key)
        # A key that was valid before is looked up in any case: others may share its client's address.
        with nullcontext() if self.keys.has_known(key_hash) else self.evidence.looking_up(request):
            looks_right = key.startswith(PREFIX)
            grant, refused_id = await self.keys.find(key_hash, now=now) if looks_right else (None, None)
        if grant is None:
            self.evidence.wrong_key(request, refused_id)
            raise Refusal(
                401,
                "The key is invalid; it may have expired or been revoked",
                {"WWW-Authenticate": 'Bearer error="invalid_token"'},
            )
        if SCOPE not in grant.scopes and "admin" not in grant.scopes:
            await self.evidence.lacking_scope(request, grant, SCOPE)
            raise Refusal(
                403,
                f"The key {grant.name} lacks the scope {SCOPE}, which the Dagster UI requires. Create one "
                f"that has it: opsctl keys create --name NAME --scope {SCOPE}",
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
        return Person(session.person, grant.databases, grant.id)


def _one(request: HTTPConnection, header: str) -> str | None:
    values = request.headers.getlist(header)
    if len(values) > 1:  # a proxy may have checked the other one
        raise Refusal(400, f"The header {header} is sent more than once; send it once")
    return values[0] if values else None

"""Leaves a trace in the audit log of what people change in the Dagster UI, and of what they are refused."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any, Self
from uuid import UUID

import structlog
from starlette.requests import HTTPConnection

from ops_pipeline.access.client_address import Client
from ops_pipeline.access.keys import KeyGrant
from ops_pipeline.access.refused_requests import RefusedRequests
from ops_pipeline.audit import trail
from ops_pipeline.audit.event import AuditEvent
from ops_pipeline.orchestration.identity import Person
from ops_pipeline.orchestration.webserver.document import Mutation
from ops_pipeline.orchestration.webserver.known_keys import FAILURES, connected
from ops_pipeline.orchestration.webserver.refusal import Refusal
from ops_pipeline.settings import Networks

MOST_DESCRIBED = 20
LONGEST_NAME = 100
LONGEST_TARGET = 1000
CONFIGURATION = "runConfigData"
"""The key of a run's configuration, which the run itself keeps."""

log = structlog.get_logger()


class Evidence:
    """The audit log of the database at `url`. While it does not answer, people still work: what cannot be
    stored is logged."""

    def __init__(self, url: str, trusted_proxies: Networks = ()) -> None:
        self._url = url
        self._trusted_proxies = trusted_proxies
        self._refused = RefusedRequests(self._stored)

    async def __aenter__(self) -> Self:
        await self._refused.__aenter__()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._refused.__aexit__(*error)

    def without_key(self, request: HTTPConnection) -> None:
        """The client that sent the request is not signed in."""
        self._refused.without_key(self._client(request))

    def wrong_key(self, request: HTTPConnection, key_id: UUID | None) -> None:
        """The request had a key that does not exist, or the revoked or expired one with that id."""
        self._refused.wrong_key(self._client(request), key_id)

    def refuse_too_many(self, request: HTTPConnection) -> None:
        """Raises Refusal 429 when too many wrong keys came from the request's address in this minute."""
        if (seconds := self._refused.seconds_to_wait(self._client(request))) is not None:
            raise Refusal(
                429,
                "Too many requests with a wrong key came from this address; check the key, then try again in "
                "a minute",
                {"Retry-After": str(max(1, round(seconds)))},
            )

    async def lacking_scope(self, request: HTTPConnection, grant: KeyGrant, scope: str) -> None:
        """The key of the request lacks the scope."""
        client, details = self._client(request), {"scope": scope, **_route(request)}
        await self._refused.not_permitted(client, "scope.refused", grant.id, grant.name, details)

    async def outside_of_limit(
        self, request: HTTPConnection, person: Person, refused: Mapping[str, Any]
    ) -> None:
        """The request would change what is not of the databases that the person's key is for."""
        if person.key_id is None:
            return
        client = self._client(request)
        details = {"databases": list(person.databases or ()), **refused, **_route(request)}
        await self._refused.not_permitted(client, "database.refused", person.key_id, person.name, details)

    async def changing(self, request: HTTPConnection, person: Person, changes: Sequence[Mutation]) -> None:
        """The request goes on to Dagster with these changes; whether it carries them out is its answer."""
        details: dict[str, Any] = {"changes": described(changes)}
        if person.key_id is not None:
            details["key_id"] = str(person.key_id)
        event = AuditEvent(
            event_type=trail.EVENT_TYPE,
            action="change.requested",
            status="pending",
            details=details,
            ip_address=self._client(request).address,
            created_by=person.name[:255],
        )
        if not await self._stored(event, person.key_id, None):
            log.error("change not recorded", person=person.name, **details)

    async def record(self) -> None:
        """Stores an event for each address whose requests were refused."""
        await self._refused.record()

    async def _stored(self, event: AuditEvent, _key_id: UUID | None, _peer: str | None) -> bool:
        try:
            await asyncio.to_thread(self._store, event)
        except FAILURES as error:
            log.warning("audit event not stored", action=event.action, error=str(error))
            return False
        return True

    def _store(self, event: AuditEvent) -> None:
        with connected(self._url) as connection:
            trail.store(connection, event)

    def _client(self, request: HTTPConnection) -> Client:
        peer = request.client.host if request.client else None
        return Client.of(peer, request.headers.getlist("x-forwarded-for"), self._trusted_proxies)


def described(changes: Sequence[Mutation]) -> list[dict[str, str]]:
    """What is changed: the mutation of each, and what it names. After 20, the number of the others."""
    named = [
        {"name": change.name[:LONGEST_NAME], "target": _target(change)} for change in changes[:MOST_DESCRIBED]
    ]
    if (more := len(changes) - MOST_DESCRIBED) > 0:
        named.append({"name": f"and {more} more", "target": ""})
    return named


def _target(change: Mutation) -> str:
    named = {
        name: {key: inner for key, inner in value.items() if key != CONFIGURATION}
        if isinstance(value, dict)
        else value
        for name, value in change.arguments.items()
    }
    return json.dumps(named, default=str)[:LONGEST_TARGET]


def _route(request: HTTPConnection) -> dict[str, str]:
    return {"method": request.scope.get("method", "GET"), "route": request.scope["path"][:LONGEST_TARGET]}

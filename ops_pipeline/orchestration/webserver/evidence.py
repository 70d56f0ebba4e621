"""Leaves a trace in the audit log of what people change in the Dagster UI, and of what they are refused."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Literal, Self
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

MOST_BYTES = 128 * 1024
"""Of all that a request changes, in its event: two thousand runs to terminate, or ten years of days."""
MOST_DESCRIBED = 20
LONGEST_NAME = 100
LONGEST_TARGET = 1000
"""Of what was refused, the beginning will do: nothing was done."""
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

    def looking_up(self, request: HTTPConnection) -> AbstractContextManager[None]:
        """A key that this process does not know is looked up during the block. Raises Refusal 429 when too
        many wrong keys came from the request's address in this minute, or are being looked up."""
        client = self._client(request)
        if (seconds := self._refused.seconds_to_wait(client)) is not None:
            raise Refusal(
                429,
                "Too many requests with a wrong key came from this address; check the key, then try again in "
                "a minute",
                {"Retry-After": str(max(1, round(seconds)))},
            )
        return self._refused.looking_up(client)

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
        """The request goes on to Dagster with these changes; whether it carries them out is its answer.

        Raises Refusal 413 when they are too many for an event with each of them.
        """
        named = [{"name": change.name, "target": _target(change)} for change in changes]
        if sum(len(text.encode()) for change in named for text in change.values()) > MOST_BYTES:
            raise Refusal(
                413,
                f"The request changes more than {MOST_BYTES} bytes can name, and each change is recorded. "
                "Nothing was done; change less at a time",
            )
        await self._store_change(request, person, "change.requested", "pending", named)

    async def refused_change(self, request: HTTPConnection, person: Person, change: Mutation) -> None:
        """The request would change something that is changed by no one here."""
        await self._store_change(request, person, "change.refused", "failure", begun([change]))

    async def _store_change(
        self,
        request: HTTPConnection,
        person: Person,
        action: str,
        status: Literal["pending", "failure"],
        changes: Sequence[Mapping[str, str]],
    ) -> None:
        details: dict[str, Any] = {"changes": changes}
        if person.key_id is not None:
            details["key_id"] = str(person.key_id)
        event = AuditEvent(
            event_type=trail.EVENT_TYPE,
            action=action,
            status=status,
            details=details,
            ip_address=self._client(request).address,
            created_by=person.name[:255],
        )
        if not await self._stored(event, person.key_id, None):
            log.error("change not recorded", person=person.name, action=action, **details)

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


def begun(changes: Sequence[Mutation]) -> list[dict[str, str]]:
    """The beginning of what was to be changed: of 20 the mutation and what it names, of others the number."""
    named = [
        {"name": change.name[:LONGEST_NAME], "target": _target(change)[:LONGEST_TARGET]}
        for change in changes[:MOST_DESCRIBED]
    ]
    if (more := len(changes) - MOST_DESCRIBED) > 0:
        named.append({"name": f"and {more} more", "target": ""})
    return named


def _target(change: Mutation) -> str:
    return json.dumps(_without_configuration(change.arguments), default=str)


def _without_configuration(value: Any) -> Any:
    if isinstance(value, Mapping):
        named = {name: inner for name, inner in value.items() if name != CONFIGURATION}
        return {name: _without_configuration(inner) for name, inner in named.items()}
    if isinstance(value, list):
        return [_without_configuration(inner) for inner in value]
    return value


def _route(request: HTTPConnection) -> dict[str, str]:
    return {"method": request.scope.get("method", "GET"), "route": request.scope["path"][:LONGEST_TARGET]}

"""Leaves a trace of refused requests in the audit log."""

from contextlib import AbstractContextManager
from typing import Any, Self
from uuid import UUID

import msgspec
import psycopg
import structlog
from litestar.connection import ASGIConnection

from api.audit.queue import AuditQueue
from api.audit.store import Refusal, UnavailableError, ValidatedEvent, sender
from api.auth.caller import Caller
from api.auth.peer import client_of
from api.problems import too_many
from ops_pipeline.access.client_address import Client
from ops_pipeline.access.refused_requests import RefusedRequests
from ops_pipeline.audit.event import AuditEvent
from ops_pipeline.settings import Networks

AnyConnection = ASGIConnection[Any, Any, Any, Any]

log = structlog.get_logger()


class Refusals:
    """The refused requests of the API; their events share commits with others."""

    def __init__(self, queue: AuditQueue, trusted_proxies: Networks) -> None:
        self._queue = queue
        self._trusted_proxies = trusted_proxies
        self._requests = RefusedRequests(self._stored)

    async def __aenter__(self) -> Self:
        await self._requests.__aenter__()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._requests.__aexit__(*error)

    def without_key(self, connection: AnyConnection) -> None:
        """The request had no key."""
        self._requests.without_key(self._client(connection))

    def wrong_key(self, connection: AnyConnection, key_id: UUID | None) -> None:
        """The request had a key that does not exist, or the revoked or expired one with that id."""
        self._requests.wrong_key(self._client(connection), key_id)

    def looking_up(self, connection: AnyConnection) -> AbstractContextManager[None]:
        """A key that this process does not know is looked up during the block. Raises Problem 429 when too
        many wrong keys came from the request's address in this minute, or are being looked up."""
        client = self._client(connection)
        if (seconds := self._requests.seconds_to_wait(client)) is not None:
            raise too_many(
                "Too many requests with a wrong key came from this address; check the key.", seconds
            )
        return self._requests.looking_up(client)

    async def lacking_scope(self, connection: AnyConnection, caller: Caller, scope: str) -> None:
        """Records that the key lacks the scope that the request needs. A failure is logged."""
        details = {
            "scope": scope,
            "method": connection.scope["method"],  # type: ignore[typeddict-item]  # an HTTP request
            "route": connection.scope.get("path_template"),
        }
        client = self._client(connection)
        await self._requests.not_permitted(client, "scope.refused", caller.id, caller.name, details)

    async def record(self) -> None:
        """Stores an event for each address that was counted; those that cannot be stored are counted on."""
        await self._requests.record()

    async def _stored(self, event: AuditEvent, key_id: UUID | None, peer: str | None) -> bool:
        validated = ValidatedEvent(msgspec.json.encode(event))
        try:
            (outcome,) = await self._queue.store(sender(key_id, peer), [validated])
        except (UnavailableError, psycopg.Error) as error:
            log.warning("refused requests not recorded yet", error=type(error).__name__)
            return False
        return not isinstance(outcome, Refusal)

    def _client(self, connection: AnyConnection) -> Client:
        return client_of(connection, self._trusted_proxies)

"""Records who read the audit log: key, address, filters and number of rows."""

import json
from typing import Any

import msgspec
import psycopg
import structlog

from api.audit.queue import AuditQueue
from api.audit.store import Refusal, UnavailableError, ValidatedEvent, sender
from api.auth.caller import Caller, caller_of
from api.auth.peer import client_of
from api.db import outage
from api.problems import AnyRequest, Problem, unavailable
from ops_pipeline.audit.event import OWN_EVENT_TYPE, AuditEvent
from ops_pipeline.settings import Networks

log = structlog.get_logger()


class ReadTrail:
    """Records every read of the audit log in the audit log itself."""

    def __init__(self, queue: AuditQueue, trusted_proxies: Networks) -> None:
        self._queue = queue
        self._trusted_proxies = trusted_proxies

    async def record(self, request: AnyRequest, action: str, filters: dict[str, Any], rows: int) -> None:
        """Records that the request's key has read `rows` events; returns after the commit.

        Call it when the response is known and before it is sent. Concurrent records share commits with
        each other and with stored events. It fails closed, with Problem 503: no key may read more than the
        audit log says, and a client that can block writes must not be able to read unrecorded.
        """
        key = caller_of(request.scope)
        client = client_of(request, self._trusted_proxies)
        event = _event(key, action, filters, rows, client.address)
        sent_by = sender(key.id, client.peer)
        try:
            (outcome,) = await self._queue.store(sent_by, [ValidatedEvent(msgspec.json.encode(event))])
            if isinstance(outcome, Refusal):  # a character outside the database's encoding
                in_ascii = ValidatedEvent(msgspec.json.encode(_in_ascii(event)))
                (outcome,) = await self._queue.store(sent_by, [in_ascii])
        except (UnavailableError, psycopg.Error) as error:
            why = str(error) if isinstance(error, UnavailableError) else outage.reason(error)
            raise _unrecorded(why, logged=str(error)) from error
        if isinstance(outcome, Refusal):
            raise _unrecorded(outcome.reason, logged=outcome.reason)


def _unrecorded(reason: str, *, logged: str) -> Problem:
    log.error("read refused because it could not be recorded", reason=logged)
    return unavailable(
        f"This read cannot be recorded in the audit log now, so no events are returned. {reason}"
    )


def _event(key: Caller, action: str, filters: dict[str, Any], rows: int, address: str | None) -> AuditEvent:
    given = {name: _storable(value) for name, value in filters.items() if value is not None}
    return AuditEvent(
        event_type=OWN_EVENT_TYPE,
        action=action,
        status="success",
        resource_type="audit_logs",
        details={"key_id": str(key.id), "filters": given, "rows": rows},
        ip_address=address,
        created_by=key.name[:255],
    )


def _in_ascii(event: AuditEvent) -> AuditEvent:
    """The event with its filters as JSON text in ASCII, which every encoding supports."""
    details = event.details or {}
    return msgspec.structs.replace(event, details={**details, "filters": json.dumps(details["filters"])})


def _storable(value: object) -> Any:
    # A client's text may be long, or have characters that PostgreSQL cannot store.
    plain = msgspec.to_builtins(value)
    return plain.replace("\0", "\N{REPLACEMENT CHARACTER}")[:1000] if isinstance(plain, str) else plain

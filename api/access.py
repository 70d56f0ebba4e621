"""Reading the audit log leaves a trace in it: who asked, from where, which filters, how many rows."""

import ipaddress
from typing import Any

import msgspec
import psycopg
import structlog
from litestar import Request
from litestar.datastructures import State

from api.auth import Caller
from api.problems import RETRY_AFTER_SECONDS, Problem
from api.writer import Checked, Refusal, UnavailableError
from ops_pipeline.audit.event import OWN_EVENT_TYPE, AuditEvent

log = structlog.get_logger()


async def note_read(
    request: Request[Any, Any, State], action: str, filters: dict[str, object], rows: int
) -> None:
    """Stores that the caller's key has read `rows` events; returns once that is committed.

    Call it when the answer is known and before it is sent; reads at the same time share commits with each
    other and with what is being stored. It fails closed: where the note cannot be stored the read is
    answered with Problem 503, because an auditor has to be able to trust that nobody has seen more than
    the log says, and whoever can stop the writing must not thereby become able to read unseen.
    """
    event = _event(request, action, filters, rows)
    try:
        (stored,) = await request.app.state.audit_writer.store([Checked(msgspec.json.encode(event))])
    except (UnavailableError, psycopg.Error) as error:
        raise _unnoted(str(error)) from error
    if isinstance(stored, Refusal):
        raise _unnoted(stored.reason)


def _unnoted(reason: str) -> Problem:
    log.error("read refused, it could not be noted", reason=reason)
    detail = "Who reads the audit log is noted in it, and that is not possible now; so nothing is shown."
    return Problem(503, detail, headers={"Retry-After": RETRY_AFTER_SECONDS})


def _event(
    request: Request[Any, Any, State], action: str, filters: dict[str, object], rows: int
) -> AuditEvent:
    key: Caller = request.state["key"]
    asked = {name: _recorded(value) for name, value in filters.items() if value is not None}
    return AuditEvent(
        event_type=OWN_EVENT_TYPE,
        action=action,
        status="success",
        resource_type="audit_logs",
        details={"key_id": str(key.id), "filters": asked, "rows": rows},
        ip_address=_address(request),
        created_by=key.name[:255],
    )


def _recorded(value: object) -> Any:
    # What a client made up may be long, or hold what PostgreSQL cannot keep.
    plain = msgspec.to_builtins(value)
    return plain.replace("\0", "\N{REPLACEMENT CHARACTER}")[:1000] if isinstance(plain, str) else plain


def _address(request: Request[Any, Any, State]) -> str | None:
    try:
        return str(ipaddress.ip_address(request.client.host)) if request.client else None
    except ValueError:  # a socket of the machine itself has a name and no address
        return None

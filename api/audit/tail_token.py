"""POST /api/admin/audit-logs/stream/token: a token with which a browser's EventSource opens the live tail."""

from datetime import UTC, datetime

import msgspec
from litestar import Response, post

from api import openapi
from api.auth.caller import caller_of
from api.problems import AnyRequest
from api.services import Injected


class TailToken(msgspec.Struct, frozen=True, rename="camel"):
    """A token of the request's key. It opens tails until `expires_at`."""

    success: bool
    token: str
    expires_at: datetime


@post(
    "/stream/token",
    operation_id="createTailToken",
    summary="Create a token for the live tail",
    description="A browser's `EventSource` cannot send a header: it opens `…/stream?token=…`. The token is "
    "valid for 5 minutes, for the live tail alone, and no longer than its key. An open tail is not ended by "
    "the token's expiry. To open another one without missing an event, pass `lastEventId`.",
    opt={"scope": "audit:read"},
    status_code=201,
    responses={201: openapi.success(TailToken, "The token"), **openapi.behind_key()},
)
async def create_token(request: AnyRequest, services: Injected) -> Response[TailToken]:
    """A token of the request's key."""
    key = caller_of(request.scope)
    token, expires = await services.tail_tokens.write(key.id)
    answer = TailToken(True, token, datetime.fromtimestamp(expires, UTC))
    return Response(answer, headers={"Cache-Control": "no-store"})

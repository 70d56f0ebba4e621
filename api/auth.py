"""Who may ask: bearer keys with scopes."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

import sql
from api.pool import Pool
from api.problems import Problem
from ops_pipeline import keys


@dataclass(frozen=True, slots=True)
class Caller:
    """The key that a request came with; a handler finds it as `request.state["key"]`."""

    id: UUID
    name: str
    scopes: frozenset[str]


async def require_scope(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """A guard: lets a request through whose key has the scope in the route's `opt`.

    Raises Problem 401 without a valid key, 403 when the key may do other things.
    """
    scope: str = handler.opt["scope"]
    scheme, _, key = connection.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not key:
        raise Problem(401, "A key is needed, as the header Authorization: Bearer <key>")
    pool: Pool = connection.app.state.pool
    found = await pool.rows("select", sql.get("keys/find"), {"key_hash": keys.hashed(key.strip())})
    if not found:
        raise Problem(401, "The key is not valid; it may have been revoked")
    ((key_id, name, scopes),) = found
    if scope not in scopes and "admin" not in scopes:
        raise Problem(403, f"The key lacks the scope {scope}")
    connection.state["key"] = Caller(key_id, name, frozenset(scopes))

"""Checks the API key of a request and the scope that the route requires."""

import hmac
import time
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from litestar.connection import ASGIConnection
from litestar.datastructures import Headers
from litestar.handlers import BaseRouteHandler

import sql
from api.auth.last_use import LastUse
from api.db.pool import Pool
from api.problems import Problem, invalid
from ops_pipeline.access import keys

KNOWN_SECONDS = 2.0
"""How long a looked-up key is cached, and so how long a revoked key may still work."""

MOST_KNOWN = 1000


@dataclass(frozen=True, slots=True)
class Caller:
    """The key of a request; a handler finds it as `request.state["key"]`."""

    id: UUID
    name: str
    scopes: frozenset[str]

    def may(self, scope: str) -> bool:
        """Whether the key has that scope; `admin` has all."""
        return scope in self.scopes or "admin" in self.scopes


def bearer(authorization: str) -> str | None:
    """The key in the header `Authorization`; None when it has no bearer key."""
    scheme, _, key = authorization.partition(" ")
    return (key.strip() or None) if scheme.lower() == "bearer" else None


def sent_key(headers: Headers) -> str | None:
    """The key of a request; None when it has none.

    Raises Problem 400 for two `Authorization` headers: a proxy may have checked the other one.
    """
    values = headers.getall("Authorization", [])
    if len(values) > 1:
        raise invalid("Authorization", "is specified more than once; specify it once")
    return bearer(values[0]) if values else None


class KnownKeys:
    """Looks keys up, and caches valid ones for 2 seconds, so that not every request queries the database.

    Invalid keys are not cached: a key works as soon as it is created.
    """

    def __init__(self, pool: Pool, last_use: LastUse) -> None:
        self._pool = pool
        self._last_use = last_use
        self._known: dict[bytes, tuple[Caller, float]] = {}

    async def require_scope(
        self, connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler
    ) -> None:
        """The guard of every route: if its `opt` names a scope, the request's key must have it.

        Raises Problem 401 without a valid key, 403 when the key lacks the scope; each says in
        `WWW-Authenticate` what is missing (RFC 6750). Raises psycopg.Error or PoolTimeout when the key
        cannot be looked up.
        """
        if (scope := handler.opt.get("scope")) is None:
            return
        if (key := sent_key(connection.headers)) is None:
            raise _refused(401, "A key is required, as the header Authorization: Bearer <key>", "Bearer")
        if (caller := self.remembered(key) or await self._look_up(keys.hashed(key))) is None:
            detail = "The key is invalid; it may have expired or been revoked"
            raise _refused(401, detail, 'Bearer error="invalid_token"')
        if not caller.may(scope):
            challenge = f'Bearer error="insufficient_scope", scope="{scope}"'
            raise _refused(403, f"The key lacks the scope {scope}", challenge)
        connection.state["key"] = caller

    def remembered(self, key: str) -> Caller | None:
        """The caller with that key, if it was looked up in the last 2 seconds; does not query the
        database."""
        caller, until = self._known.get(keys.hashed(key), (None, 0.0))
        if caller is None or time.monotonic() >= until:
            return None
        self._last_use.record(caller.id)
        return caller

    async def _look_up(self, key_hash: bytes) -> Caller | None:
        self._known.pop(key_hash, None)
        began = time.monotonic()
        rows = await self._pool.rows("authenticate", sql.get("api/auth/find"), {"key_hash": key_hash})
        # PostgreSQL's comparison is not constant-time: it ends at the first byte that differs.
        if not rows or not hmac.compare_digest(rows[0][3], key_hash):
            return None
        caller = Caller(rows[0][0], rows[0][1], frozenset(rows[0][2]))
        if len(self._known) >= MOST_KNOWN:
            self._known.clear()
        # Counted from before the query: a key revoked during the query is not cached longer.
        self._known[key_hash] = caller, began + KNOWN_SECONDS
        self._last_use.record(caller.id)
        return caller


def _refused(status: int, detail: str, challenge: str) -> Problem:
    return Problem(status, detail, headers={"WWW-Authenticate": challenge})

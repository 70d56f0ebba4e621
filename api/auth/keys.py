"""Checks the API key of a request and the scope that the route requires."""

import asyncio
import hmac
import time
from typing import Any
from uuid import UUID

from litestar.connection import ASGIConnection
from litestar.datastructures import Headers
from litestar.handlers import BaseRouteHandler

import sql
from api.auth.caller import Caller, remember
from api.auth.last_use import LastUse
from api.auth.refusals import Refusals
from api.auth.tail_tokens import PARAMETER, TailTokens
from api.db.pool import Pool
from api.limits.limits import Limits
from api.limits.released import USAGE
from api.problems import Problem, invalid
from ops_pipeline.access import keys
from ops_pipeline.serving import known_sender

KNOWN_SECONDS = 2.0
"""How long a looked-up key is cached, and so how long a revoked key may still work."""

MOST_KNOWN = 1000


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

    Invalid keys are not cached: a key works as soon as it is created. `pool` serves nothing else, so that no
    question of a client delays the check of a key. Every refusal is given to `refusals`.
    """

    def __init__(
        self, pool: Pool, last_use: LastUse, limits: Limits, refusals: Refusals, tail_tokens: TailTokens
    ) -> None:
        self._pool = pool
        self._last_use = last_use
        self._limits = limits
        self._refusals = refusals
        self._tail_tokens = tail_tokens
        self._known: dict[bytes, tuple[Caller, float]] = {}
        self._looking_up: dict[bytes, asyncio.Task[Found]] = {}

    async def require_scope(
        self, connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler
    ) -> None:
        """The guard of every route: if its `opt` names a scope, the request's key must have it. Where `opt`
        has `token`, a token of the key will do.

        Raises Problem 401 without a valid key, 403 when the key lacks the scope; each says in
        `WWW-Authenticate` what is missing (RFC 6750). Raises Problem 429 for a wrong key of an address that
        has sent too many, and for a key with too many requests in flight. Raises psycopg.Error or PoolTimeout
        when the key cannot be looked up. The request is counted until its end (`api.limits.released`).
        """
        if (scope := handler.opt.get("scope")) is None:
            return
        token = connection.query_params.get(PARAMETER) if handler.opt.get("token") else None
        if (key := sent_key(connection.headers)) is not None:
            if token is not None:
                raise invalid(PARAMETER, "is sent together with the header Authorization; send one of them")
            caller = self.remembered(key) or await self._valid(keys.hashed(key), connection)
        elif token is not None:
            caller = await self._of_token(token, connection)
        else:
            self._refusals.without_key(connection)
            raise _refused(401, "A key is required, as the header Authorization: Bearer <key>", "Bearer")
        if USAGE not in connection.scope["state"]:  # the fast path has counted its requests already
            connection.scope["state"][USAGE] = self._limits.begin_request(caller.id)
        if not caller.may(scope):
            await self._refusals.lacking_scope(connection, caller, scope)
            challenge = f'Bearer error="insufficient_scope", scope="{scope}"'
            raise _refused(403, f"The key lacks the scope {scope}", challenge)
        known_sender.tell(connection.scope)
        remember(connection.scope, caller)

    def remembered(self, key: str) -> Caller | None:
        """The caller with that key, if it was looked up in the last 2 seconds; does not query the
        database."""
        caller, until = self._known.get(keys.hashed(key), (None, 0.0))
        if caller is None or time.monotonic() >= until:
            return None
        self._last_use.record(caller.id)
        return caller

    async def still_valid(self, caller: Caller) -> bool:
        """Whether the key is neither revoked nor expired now. Raises psycopg.Error or PoolTimeout."""
        ((valid,),) = await self._pool.rows("authenticate", sql.get("api/auth/is_valid"), {"id": caller.id})
        return bool(valid)

    async def _valid(self, key_hash: bytes, connection: ASGIConnection[Any, Any, Any, Any]) -> Caller:
        # A key that was valid before is looked up in any case: others may share its client's address.
        # One that is being looked up for another request costs no query.
        if key_hash in self._known or key_hash in self._looking_up:
            caller, refused_id = await self.look_up(key_hash)
        else:
            with self._refusals.looking_up(connection):
                caller, refused_id = await self.look_up(key_hash)
        if caller is None:
            self._refusals.wrong_key(connection, refused_id)
            detail = "The key is invalid; it may have expired or been revoked"
            raise _refused(401, detail, 'Bearer error="invalid_token"')
        self._last_use.record(caller.id)
        return caller

    async def _of_token(self, token: str, connection: ASGIConnection[Any, Any, Any, Any]) -> Caller:
        key_id = await self._tail_tokens.key_of(token)
        find = sql.get("api/auth/find_by_id")
        rows = await self._pool.rows("authenticate", find, {"id": key_id}) if key_id is not None else []
        if not rows:
            self._refusals.wrong_key(connection, key_id)
            detail = "The token is invalid: it has expired, or its key has or was revoked; create another one"
            raise _refused(401, detail, 'Bearer error="invalid_token"')
        ((_, name, scopes),) = rows
        caller = Caller(rows[0][0], name, frozenset(scopes))
        self._last_use.record(caller.id)
        return caller

    async def look_up(self, key_hash: bytes) -> "Found":
        """The caller with a valid key; requests with the same key share one query. Raises psycopg.Error or
        PoolTimeout."""
        looking_up = self._looking_up.get(key_hash)
        if looking_up is None:
            looking_up = asyncio.get_running_loop().create_task(self._query(key_hash))
            self._looking_up[key_hash] = looking_up
            looking_up.add_done_callback(lambda _: self._looking_up.pop(key_hash, None))
            # Where every request was canceled, no other code retrieves the error.
            looking_up.add_done_callback(lambda done: done.cancelled() or done.exception())
        return await asyncio.shield(looking_up)

    async def _query(self, key_hash: bytes) -> "Found":
        began = time.monotonic()
        rows = await self._pool.rows("authenticate", sql.get("api/auth/find"), {"key_hash": key_hash})
        # PostgreSQL's comparison is not constant-time: it ends at the first byte that differs.
        if not rows or not hmac.compare_digest(rows[0][3], key_hash):
            self._known.pop(key_hash, None)
            return None, None
        key_id, name, scopes, _, valid = rows[0]
        if not valid:
            self._known.pop(key_hash, None)
            return None, key_id
        caller = Caller(key_id, name, frozenset(scopes))
        if len(self._known) >= MOST_KNOWN:
            self._known.clear()
        # Counted from before the query: a key revoked during the query is not cached longer.
        self._known[key_hash] = caller, began + KNOWN_SECONDS
        return caller, None


Found = tuple[Caller | None, UUID | None]
"""The caller with a valid key, or the id of a revoked or expired one; neither, where there is no such key."""


def _refused(status: int, detail: str, challenge: str) -> Problem:
    return Problem(status, detail, headers={"WWW-Authenticate": challenge})

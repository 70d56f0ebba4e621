"""Looks up API keys for the Dagster UI, and remembers valid ones for half a minute."""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

import psycopg

from ops_pipeline.access import keys
from ops_pipeline.orchestration.webserver.refusal import Refusal
from ops_pipeline.postgres.connection import Connection, DatabaseUnavailableError, connect
from ops_pipeline.postgres.rights import MissingRightError, explained

SCOPE = keys.MAINTENANCE
"""What a key needs to use the Dagster UI."""
REMEMBERED_SECONDS = 30.0
"""How long a key is not asked about again, and so how long a revoked one may still work."""
MOST_REMEMBERED = 1000
FAILURES = (DatabaseUnavailableError, MissingRightError, psycopg.Error)


@dataclass(frozen=True, slots=True)
class _Known:
    grant: keys.KeyGrant
    until: float


class KnownKeys:
    """The keys of the database at `url`, whose login must be a member of `ops_reader` and `ops_writer`."""

    def __init__(self, url: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._url = url
        self._clock = clock
        self._known: dict[bytes, _Known] = {}
        self._asked: dict[bytes, asyncio.Task[keys.KeyGrant | None]] = {}

    async def grant(self, key_hash: bytes, *, now: bool = False) -> keys.KeyGrant | None:
        """The valid key with that hash; None when there is none, or it was revoked or has expired. `now`: not
        as it was up to half a minute ago.

        A key that was valid stays so while the database does not answer: nor can it be revoked meanwhile.
        Raises Refusal when the key is unknown and the database does not answer (503), and when the key lacks
        the scope (403).
        """
        known = self._known.get(key_hash)
        if not now and known is not None and self._clock() < known.until:
            grant: keys.KeyGrant | None = known.grant
        else:
            # One question for all requests of a page that ask at the same time.
            asking = self._asked.get(key_hash)
            if asking is None:
                asking = self._asked[key_hash] = asyncio.create_task(self._ask(key_hash, known))
                asking.add_done_callback(lambda _: self._asked.pop(key_hash))
            grant = await asyncio.shield(asking)
        if grant is None or (grant.expires_at is not None and grant.expires_at <= datetime.now(UTC)):
            return None
        if SCOPE not in grant.scopes and "admin" not in grant.scopes:
            raise Refusal(
                403,
                f"The key {grant.name} lacks the scope {SCOPE}, which the Dagster UI requires. Create one "
                f"that has it: opsctl keys create --name NAME --scope {SCOPE}",
            )
        return grant

    async def _ask(self, key_hash: bytes, known: _Known | None) -> keys.KeyGrant | None:
        asked_at = self._clock()  # before the question: a key revoked during it is not remembered longer
        try:
            grant = await asyncio.to_thread(self._find, key_hash)
        except FAILURES as error:
            if known is None:
                raise Refusal(503, f"The key cannot be checked: {error}", {"Retry-After": "5"}) from error
            grant = known.grant
        if grant is None:
            self._known.pop(key_hash, None)
            return None
        if len(self._known) >= MOST_REMEMBERED:
            self._known.clear()
        self._known[key_hash] = _Known(grant, asked_at + REMEMBERED_SECONDS)
        return grant

    def _find(self, key_hash: bytes) -> keys.KeyGrant | None:
        with self._connected() as connection:
            return keys.find(connection, key_hash)

    async def record_sign_in(self, grant: keys.KeyGrant) -> None:
        """Records the sign-in in the audit log. Raises Refusal 503 when the database does not answer."""
        try:
            await asyncio.to_thread(self._record, grant)
        except FAILURES as error:
            raise Refusal(503, f"The sign-in cannot be recorded: {error}", {"Retry-After": "5"}) from error

    def _record(self, grant: keys.KeyGrant) -> None:
        with self._connected() as connection:
            keys.record_sign_in(connection, grant)

    @contextmanager
    def _connected(self) -> Iterator[Connection]:
        with (
            connect(self._url, "ops dagster keys", statement_timeout="5s") as connection,
            explained(connection),
        ):
            yield connection

"""Looks up API keys for the Dagster UI, and remembers valid ones for half a minute."""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

import psycopg

from ops_pipeline.access import keys
from ops_pipeline.orchestration.webserver.refusal import Refusal
from ops_pipeline.postgres.connection import Connection, DatabaseUnavailableError, connect
from ops_pipeline.postgres.rights import MissingRightError, explained

REMEMBERED_SECONDS = 30.0
"""How long a key is not asked about again, and so how long a revoked one may still work."""
MOST_REMEMBERED = 1000
FAILURES = (DatabaseUnavailableError, MissingRightError, psycopg.Error)
Found = tuple[keys.KeyGrant | None, UUID | None]


@contextmanager
def connected(url: str) -> Iterator[Connection]:
    """A connection to the database with the keys and the audit log. Raises one of FAILURES."""
    with connect(url, "ops dagster keys", statement_timeout="5s") as connection, explained(connection):
        yield connection


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
        self._asked: dict[bytes, asyncio.Task[Found]] = {}

    def has_known(self, key_hash: bytes) -> bool:
        """Whether the key was valid when it was last looked up, or is being looked up for another request."""
        return key_hash in self._known or key_hash in self._asked

    async def grant(self, key_hash: bytes, *, now: bool = False) -> keys.KeyGrant | None:
        """The valid key with that hash, as `find`."""
        return (await self.find(key_hash, now=now))[0]

    async def find(self, key_hash: bytes, *, now: bool = False) -> Found:
        """The valid key with that hash, or the id of the revoked or expired one; neither when there is none.
        `now`: not as it was up to half a minute ago.

        A key that was valid stays so while the database does not answer: nor can it be revoked meanwhile.
        Raises Refusal 503 when the key is unknown and the database does not answer.
        """
        known = self._known.get(key_hash)
        if not now and known is not None and self._clock() < known.until:
            found: Found = known.grant, None
        else:
            # One question for all requests of a page that ask at the same time.
            asking = self._asked.get(key_hash)
            if asking is None:
                asking = self._asked[key_hash] = asyncio.create_task(self._ask(key_hash, known))
                asking.add_done_callback(lambda _: self._asked.pop(key_hash))
            found = await asyncio.shield(asking)
        grant, _ = found
        if grant is not None and grant.expires_at is not None and grant.expires_at <= datetime.now(UTC):
            return None, grant.id
        return found

    async def _ask(self, key_hash: bytes, known: _Known | None) -> Found:
        asked_at = self._clock()  # before the question: a key revoked during it is not remembered longer
        try:
            grant, refused_id = await asyncio.to_thread(self._find, key_hash)
        except FAILURES as error:
            if known is None:
                raise Refusal(503, f"The key cannot be checked: {error}", {"Retry-After": "5"}) from error
            grant, refused_id = known.grant, None
        if grant is None:
            self._known.pop(key_hash, None)
            return None, refused_id
        if len(self._known) >= MOST_REMEMBERED:
            self._known.clear()
        self._known[key_hash] = _Known(grant, asked_at + REMEMBERED_SECONDS)
        return grant, None

    def _find(self, key_hash: bytes) -> Found:
        with connected(self._url) as connection:
            grant = keys.find(connection, key_hash)
            return grant, None if grant is not None else keys.find_refused(connection, key_hash)

    async def record_sign_in(self, grant: keys.KeyGrant) -> None:
        """Records the sign-in in the audit log. Raises Refusal 503 when the database does not answer."""
        try:
            await asyncio.to_thread(self._record, grant)
        except FAILURES as error:
            raise Refusal(503, f"The sign-in cannot be recorded: {error}", {"Retry-After": "5"}) from error

    def _record(self, grant: keys.KeyGrant) -> None:
        with connected(self._url) as connection:
            keys.record_sign_in(connection, grant)

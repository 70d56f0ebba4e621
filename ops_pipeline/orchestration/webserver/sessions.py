"""Who is signed in to the Dagster UI: random tokens in cookies, kept in memory by their hash."""

import hmac
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass

from ops_pipeline.access.keys import hashed

LASTS_SECONDS = 12 * 3600.0
"""A shift. A session also ends when its key does, and when the webserver stops."""
MOST_OF_KEY = 10
"""Sessions of a key, or of a person without one; beyond it their oldest ends."""
MOST = 1000
"""Sessions in all; beyond it the oldest ends. A hundred keys are required for that."""


@dataclass(frozen=True, slots=True)
class Session:
    """A signed-in person; `key_hash`: of the key they signed in with, None for the link of `opsctl up`."""

    person: str
    key_hash: bytes | None
    until: float

    @property
    def owner(self) -> bytes | str:
        """The key, or the person without one."""
        return self.key_hash or self.person


class Sessions:
    """The sessions of this process. `first_token` signs in `first_person`, once."""

    def __init__(
        self,
        first_token: str | None = None,
        first_person: str = "",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._first = None if first_token is None else hashed(first_token)
        self._first_person = first_person
        self._clock = clock
        self._sessions: dict[bytes, Session] = {}

    def open(self, person: str, key_hash: bytes | None) -> str:
        """Begins a session, and returns its token for the cookie."""
        token = secrets.token_urlsafe(32)
        session = Session(person, key_hash, self._clock() + LASTS_SECONDS)
        own = [known for known, other in self._sessions.items() if other.owner == session.owner]
        if len(own) >= MOST_OF_KEY:
            del self._sessions[own[0]]
        elif len(self._sessions) >= MOST:
            del self._sessions[next(iter(self._sessions))]
        self._sessions[hashed(token)] = session
        return token

    def open_first(self, token: str) -> str | None:
        """Begins the session of the link that `opsctl up` prints; None if it was used, or is another."""
        if self._first is None or not hmac.compare_digest(self._first, hashed(token)):
            return None
        self._first = None
        return self.open(self._first_person, None)

    def find(self, token: str) -> Session | None:
        """The session of that token, if it has not ended."""
        session = self._sessions.get(hashed(token))
        if session is None or self._clock() < session.until:
            return session
        self.close(token)
        return None

    def close(self, token: str) -> None:
        """Ends the session."""
        self._sessions.pop(hashed(token), None)

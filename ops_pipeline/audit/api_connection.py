"""Posts to the API over one connection, with the standard library alone."""

import re
import time
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import urlsplit

PATH = "/api/audit-logs"
TIMEOUT_SECONDS = 15.0
"""How long to wait for the connection, and then for each part of the response."""
IDLE_SECONDS = 3.0
"""How long an unused connection is kept; the API closes it after 5 seconds."""


class UnreachableError(Exception):
    """No complete response arrived; the API may have received the request."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A response of the API, or of a proxy in front of it. `retry_after`: that header, "" without it."""

    status: int
    body: bytes
    retry_after: str

    @property
    def text(self) -> str:
        return self.body.decode(errors="replace")


class ApiConnection:
    """Posts events with a key to the API at `url`, directly: without redirects, and without the proxies that
    the environment names.

    The connection is kept between requests that follow each other. Only one thread may use it. Raises
    ValueError, naming `url` or `key`, where one cannot be used.
    """

    def __init__(self, url: str, key: str) -> None:
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port
            host.encode("idna")
        except ValueError:
            raise ValueError(WRONG_URL) from None
        others = (parts.username, parts.query or None, parts.fragment or None)
        if parts.scheme not in {"http", "https"} or not host or others != (None, None, None):
            raise ValueError(WRONG_URL)
        if not re.fullmatch(r"[\x21-\x7e]+", key):
            raise ValueError("key: must be an API key, as `opsctl keys create` prints it")
        kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
        self._connection = kind(host, port, timeout=TIMEOUT_SECONDS)
        self._path = parts.path.rstrip("/") + PATH
        self._headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        self._used = 0.0

    def post(self, body: bytes) -> Answer:
        """The response to these events. Raises UnreachableError."""
        if time.monotonic() - self._used > IDLE_SECONDS:
            self.close()
        try:
            self._connection.request("POST", self._path, body, self._headers)
            response = self._connection.getresponse()
            answer = Answer(response.status, response.read(), response.headers.get("Retry-After", ""))
        except (OSError, HTTPException) as error:
            self.close()
            raise UnreachableError(f"{type(error).__name__}: {error}") from error
        self._used = time.monotonic()
        return answer

    def close(self) -> None:
        """Closes the connection; the next request opens another one."""
        self._connection.close()


WRONG_URL = "url: must be the address of the API, without user and query: https://ops.example.com"

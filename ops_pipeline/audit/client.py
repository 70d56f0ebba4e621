"""Sends an application's audit events to the API: does not wait for it, and loses none."""

import logging
import os
import random
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from uuid import UUID, uuid4

import msgspec

# Relative, because the distribution of applications (`client/`) contains these files under its own name.
from .api_connection import Answer, ApiConnection, UnreachableError
from .event import AuditEvent, decode
from .spool import Spool

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.1, 5.0
WARNING_SECONDS = 60.0
"""How often it is logged that the API does not take events."""
GATHER_SECONDS = 0.05
"""How long the first event of a batch waits for others."""
REFUSED = {400, 409, 413, 422}
"""Statuses that refuse the content, so that a retry is useless. All other errors are retried."""

log = logging.getLogger(__name__)


class AuditClient:
    """Logs events through a spool folder: `log` writes there and returns; a thread sends the events.

    Every event accepted by `log` is stored exactly once, as long as the folder exists: while the API does not
    answer it waits, even across restarts of the application, and retries are safe because each event has
    its id and time from the start. Events that the API refuses permanently go to `rejected.ndjson` in the
    folder, with the reason; `log` refuses invalid events itself, except for limits set on the API's side.

    `key` requires the scope audit:write. Only one process at a time can use `spool` (SpoolInUseError). It
    holds at most `spool_bytes`, not counting `rejected.ndjson`. An invalid `url` or `key` raises ValueError.
    """

    def __init__(self, url: str, key: str, spool: Path, *, spool_bytes: int = 64 * 1024 * 1024) -> None:
        self._api = ApiConnection(url, key)
        self._spool = Spool(spool, spool_bytes)
        self._rejected = spool / "rejected.ndjson"
        self._changed = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._send, name="audit client", daemon=True)
        self._thread.start()

    def log(self, event: AuditEvent) -> UUID:
        """Accepts an event; returns its id. Never waits for the network.

        Raises EventError for an invalid event, SpoolFullError when the API has not answered for too long, and
        OSError on a disk error: in each case the event was not accepted.
        """
        event_id = event.id or uuid4()
        created_at = event.created_at or datetime.now(UTC)
        line = msgspec.json.encode(msgspec.structs.replace(event, id=event_id, created_at=created_at))
        decode(line)
        if self._closing:
            raise RuntimeError("This client is closed")
        self._spool.append(line)
        with self._changed:
            self._changed.notify_all()
        return event_id

    def flush(self, timeout: float) -> bool:
        """Waits up to `timeout` seconds until all events are acknowledged; returns whether they are."""
        with self._changed:
            return self._changed.wait_for(self._spool.empty, timeout)

    def close(self, timeout: float = 5.0) -> bool:
        """Flushes, then stops the client. Events that were not sent stay in the folder for the next start."""
        if self._closing:
            return self._spool.empty()
        sent = self.flush(timeout)
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join(LONGEST_PAUSE_SECONDS if sent else 0)
        self._spool.close()
        return sent

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.close()

    def _send(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closing or not self._spool.empty())
            if self._closing:
                self._api.close()
                return
            time.sleep(GATHER_SECONDS)
            try:
                self._send_oldest()
            except OSError:  # a disk error; it is retried
                if not self._closing:  # then `close` has closed the spool meanwhile
                    log.exception("The audit spool cannot be used")
                    self._pause(LONGEST_PAUSE_SECONDS)

    def _send_oldest(self) -> None:
        batch = self._spool.oldest()
        if batch is not None and self._deliver(batch.lines):
            self._spool.remove(batch)
            with self._changed:
                self._changed.notify_all()

    def _deliver(self, lines: list[bytes]) -> bool:
        """Whether all lines were stored or permanently refused; False when the client was closed before."""
        answer = self._post(lines)
        if answer is None:
            return False
        if answer.status not in REFUSED:
            for result in _results(answer):
                if result.error is not None:
                    self._reject(lines[result.index], result.error)
            return True
        if len(lines) == 1:
            self._reject(lines[0], answer.text)
            return True
        half = len(lines) // 2
        return self._deliver(lines[:half]) and self._deliver(lines[half:])

    def _post(self, lines: list[bytes]) -> Answer | None:
        body = b"[%b]" % b",".join(lines)
        tries, warned = 0, -WARNING_SECONDS
        while not self._closing:
            try:
                answer = self._api.post(body)
                if answer.status in REFUSED or len(_results(answer)) == len(lines):
                    return answer
                problem, pause = f"{answer.status} {answer.text[:200]!r}", answer.retry_after
            except UnreachableError as error:
                problem, pause = str(error), ""
            if time.monotonic() - warned >= WARNING_SECONDS:
                warned = time.monotonic()
                log.warning("The API has not stored audit events, which are kept and sent again: %s", problem)
            self._pause(float(pause) if pause.isdecimal() else _growing(tries))
            tries += 1
        return None

    def _pause(self, seconds: float) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._closing, min(seconds, LONGEST_PAUSE_SECONDS))

    def _reject(self, line: bytes, reason: Any) -> None:
        log.error("The API has rejected an audit event, which is kept in %s: %s", self._rejected, reason)
        with self._rejected.open("ab") as file:
            file.write(msgspec.json.encode({"event": msgspec.Raw(line), "reason": reason}) + b"\n")
            file.flush()
            os.fsync(file.fileno())


class _Result(msgspec.Struct):
    index: int
    error: Any = None


class _Stored(msgspec.Struct):
    results: list[_Result]


def _results(answer: Answer) -> list[_Result]:
    # Only this form confirms that the events are stored: a proxy may respond with anything.
    try:
        return msgspec.json.decode(answer.body, type=_Stored).results if answer.status == 201 else []
    except msgspec.DecodeError:
        return []


def _growing(tries: int) -> float:
    # Spread at random, so that not all clients of an API that restarts come back at the same moment.
    return FIRST_PAUSE_SECONDS * (1 << min(tries, 6)) * random.uniform(0.5, 1.0)  # noqa: S311 - no secret

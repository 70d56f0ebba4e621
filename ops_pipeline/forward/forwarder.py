"""Delivers batch after batch to a target: each in order, and the next one only when it was acknowledged."""

import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Literal
from uuid import UUID

import structlog

from ops_pipeline.audit import trail
from ops_pipeline.audit.person import person
from ops_pipeline.forward import position as positions
from ops_pipeline.forward.batch import MOST_EVENTS, Item, next_batch
from ops_pipeline.forward.position import ForwardError, Position
from ops_pipeline.forward.receiver import Outcome, Receiver
from ops_pipeline.forward.stop import Stop
from ops_pipeline.forward.target import Target
from ops_pipeline.postgres.connection import Connection

MOST_BYTES = 1_000_000
"""The size of a batch, unless one event is larger. Proxies such as nginx take 1 MiB by default."""
POLL_SECONDS = 0.5
SAVE_EVERY_SECONDS = 30.0
"""How often the position of an idle target is stored, so that its age says whether a process is at work."""
FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 60.0
LONGEST_ASKED_SECONDS = 3600.0
"""The longest Retry-After that is heeded."""
SAY_EVERY_SECONDS = 60.0
GIVE_UP_SECONDS = 60.0
"""For how long `once` tries to deliver a batch."""

log = structlog.get_logger()


@dataclass
class Forwarding:
    """What is forwarded to where, and how far it has come; it outlives the connection to the database.

    `since`: see `position.begin`. `once`: end when everything that was visible at the start is delivered.
    `skip`: the ids of events that are not sent. `delivered`: events acknowledged by the receiver.
    """

    target: Target
    receiver: Receiver
    stop: Stop
    since: datetime | None = None
    once: bool = False
    skip: Collection[UUID] = ()
    delivered: int = 0
    position: Position | None = None
    most_events: int = MOST_EVENTS
    most_bytes: int = MOST_BYTES
    is_recorded: bool = False
    said_at: float = field(default_factory=time.monotonic)


class Forwarder:
    """Forwards over one connection, whose session holds the target's lock."""

    def __init__(self, connection: Connection, forwarding: Forwarding) -> None:
        self._connection = connection
        self._forwarding = forwarding
        self._target = forwarding.target
        self._position = positions.begin(connection, self._target, forwarding.since)
        # Only the server's clock counts.
        self._ahead = positions.now(connection)[1] - datetime.now(UTC)
        self._looks = self._found = self._unsaved = 0
        self._saved_at = time.monotonic()
        forwarding.position = self._position

    def run(self) -> None:
        """Forwards until a stop is requested, or `once` is done. What the receiver acknowledged is recorded.

        Raises psycopg.Error, and ForwardError when it cannot go on.
        """
        try:
            while not self._forwarding.stop.requested:
                if self._position.is_caught_up and not self._look():
                    break
                self._advance()
        except ForwardError as error:
            self._record_end(str(error))
            raise
        self._record_end(None)
        self._save()

    def _look(self) -> bool:
        """Finds out what is visible now; returns whether to go on. Waits first, if the last look found
        nothing."""
        if self._looks and (
            self._forwarding.once or (not self._found and self._forwarding.stop.wait(POLL_SECONDS))
        ):
            return False
        self._looks, self._found = self._looks + 1, 0
        self._move(self._position.looking(*positions.now(self._connection)))
        return True

    def _advance(self) -> None:
        if reason := positions.unusable(self._position, datetime.now(UTC) + self._ahead):
            raise ForwardError(f"{self._target.name}: {reason}")
        limits = (self._forwarding.most_events, self._forwarding.most_bytes)
        batch = next_batch(self._connection, self._position, *limits)
        if batch.deleted:
            log.warning(
                "events were deleted before they could be forwarded",
                target=self._target.name, events=batch.deleted,
            )  # fmt: skip
        if batch.items and not self._deliver(batch.items):
            return
        self._found += len(batch.items)
        self._move(batch.end)
        if time.monotonic() - self._saved_at >= SAVE_EVERY_SECONDS:
            self._save()
        self._say_progress()

    def _deliver(self, items: Sequence[Item]) -> bool:
        """Whether the receiver acknowledged all of them. If not, a stop was requested, or the next batch is
        to be smaller. Raises ForwardError."""
        self._record_start()
        skipped = [item for item in items if item.id in self._forwarding.skip]
        sent = [item for item in items if item not in skipped]
        outcome = self._post(b"".join(item.line for item in sent)) if sent else Outcome("delivered")
        if outcome is None:
            return False
        if outcome.kind == "smaller":
            self._send_less(sent, outcome)
            return False
        self._forwarding.most_events = min(2 * self._forwarding.most_events, MOST_EVENTS)
        for item in skipped:
            self._record("forward.skipped", {"event_id": str(item.id)})
        self._forwarding.delivered += len(sent)
        self._unsaved += len(sent)
        self._move(items[-1].after)
        self._save()
        return True

    def _send_less(self, refused: Sequence[Item], outcome: Outcome) -> None:
        """Halves the next batch, until an event that is itself refused is alone. Raises ForwardError, naming
        it."""
        size = sum(len(item.line) for item in refused)
        if len(refused) == 1:
            raise ForwardError(
                f"{self._target.name}: {outcome.reason}, to event {refused[0].id} alone ({size:,} bytes). "
                "Every event before it was delivered, and none was skipped. Correct the receiver and start "
                "again; or, to leave this event out, which is recorded: the same command with --skip "
                f"{refused[0].id}"
            )
        if outcome.too_large:  # for every later batch too
            self._forwarding.most_bytes = size // 2
        else:
            self._forwarding.most_events = len(refused) // 2
        log.info(
            "batch refused", target=self._target.name, events=len(refused), bytes=size, reason=outcome.reason
        )

    def _post(self, body: bytes) -> Outcome | None:
        """What became of it, once that is known; None when a stop was requested before.

        Tries again with exponential backoff, without end unless `once`. Raises ForwardError.
        """
        began = said = None
        pause = FIRST_PAUSE_SECONDS
        while True:
            outcome = self._forwarding.receiver.post(body)
            now = time.monotonic()
            if outcome.kind != "later":
                if began is not None:
                    log.info("receiver answers again", target=self._target.name, seconds=round(now - began))
                return outcome
            began = now if began is None else began
            wait = max(pause, min(outcome.pause, LONGEST_ASKED_SECONDS))
            if self._forwarding.once and now - began + wait > GIVE_UP_SECONDS:
                raise ForwardError(
                    f"{self._target.name}: {outcome.reason}. Nothing was skipped; the next start sends it"
                )
            if said is None or now - said >= SAY_EVERY_SECONDS:
                said = now
                log.warning(
                    "waiting for the receiver", target=self._target.name, reason=outcome.reason,
                    seconds=round(now - began), next_try_seconds=round(wait),
                )  # fmt: skip
            if self._forwarding.stop.wait(wait):
                return None
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)

    def _move(self, position: Position) -> None:
        self._position = self._forwarding.position = position

    def _save(self) -> None:
        positions.save(self._connection, self._target, self._position, self._unsaved)
        self._unsaved = 0
        self._saved_at = time.monotonic()

    def _record_start(self) -> None:
        """Records in the audit log, before the first event is sent, that events go to that host."""
        if self._forwarding.is_recorded:
            return
        since = self._position.since
        self._record("forward.started", {"since": since.isoformat()} if since else {})
        self._forwarding.is_recorded = True

    def _record_end(self, error: str | None) -> None:
        if self._forwarding.is_recorded:
            details = {"events": self._forwarding.delivered, **({"reason": error} if error else {})}
            self._record("forward.stopped", details, failed=error is not None)

    def _record(self, action: str, details: dict[str, object], *, failed: bool = False) -> None:
        whole = {"target": self._target.name, "host": self._target.host, **details}
        status: Literal["success", "failure"] = "failure" if failed else "success"
        trail.record(self._connection, action, whole, by=person(), status=status)

    def _say_progress(self) -> None:
        now = time.monotonic()
        if now - self._forwarding.said_at < SAY_EVERY_SECONDS:
            return
        self._forwarding.said_at = now
        behind = datetime.now(UTC) + self._ahead - self._position.seen_at
        log.info(
            "forwarding", target=self._target.name, events=self._forwarding.delivered,
            behind_seconds=max(0, round(behind / timedelta(seconds=1))),
        )  # fmt: skip

"""The events that wait for a commit: each key has a lane, and lanes are served in turn."""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from uuid import UUID

import psycopg

from api.audit.store import BEFORE_IT_BEGAN, NOT_BEGUN, NOTHING, UNKNOWN, Group, Outcome, UnavailableError
from api.db.outage import reason

Key = UUID | None


@dataclass(slots=True, eq=False)
class Part:
    """The events of a request, or some of them: their number, and their `size` in bytes."""

    group: Group
    events: int
    size: int
    done: asyncio.Future[list[Outcome]]
    since: float
    begun: bool = False

    def give_up(self) -> None:
        """The request has waited long enough."""
        self.fail(UnavailableError(UNKNOWN if self.begun else NOT_BEGUN))

    def fail(self, error: Exception) -> None:
        """Ends the request's wait with an error that says what was stored."""
        if self.done.done():
            return
        if isinstance(error, BEFORE_IT_BEGAN):
            error = UnavailableError(f"{reason(error)} {NOTHING}")
        elif isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
            # With a SQLSTATE the server has refused the statement; without one the outcome is unknown.
            error = UnavailableError(f"{reason(error)} {NOTHING}" if error.sqlstate else UNKNOWN)
        self.done.set_exception(error)
        self.done.exception()  # marks it as retrieved: the client may have disconnected


@dataclass(slots=True)
class Lane:
    """The waiting parts of one key."""

    parts: deque[Part] = field(default_factory=deque)
    events: int = 0
    size: int = 0


class Lanes:
    """All waiting parts. `events` and `size` are their number and bytes."""

    def __init__(self) -> None:
        self._lanes: OrderedDict[Key, Lane] = OrderedDict()
        self.events = 0
        self.size = 0

    def __bool__(self) -> bool:
        return bool(self._lanes)

    def __iter__(self) -> Iterator[Part]:
        for lane in self._lanes.values():
            yield from lane.parts

    def of(self, key: Key) -> tuple[int, int]:
        """How many events and bytes of that key wait."""
        lane = self._lanes.get(key)
        return (lane.events, lane.size) if lane is not None else (0, 0)

    def waits_since(self) -> float | None:
        """Since when the oldest part waits; None when none does."""
        return min((lane.parts[0].since for lane in self._lanes.values()), default=None)

    def add(self, part: Part) -> None:
        """The part waits at the end of its key's lane."""
        key = part.group.sender.key_id
        lane = self._lanes.get(key)
        if lane is None:
            lane = self._lanes[key] = Lane()
        lane.parts.append(part)
        lane.events += part.events
        lane.size += part.size
        self.events += part.events
        self.size += part.size

    def take(self, most_events: int) -> list[Part]:
        """The next parts to store, one of each lane in turn, with at most so many events; the first part in
        any case.

        A lane whose next part did not fit comes first the next time. Parts that are done already, because
        no request waits for them, are left out.
        """
        group: list[Part] = []
        events, fitting = 0, True
        while fitting and events < most_events:
            fitting = False
            for key, lane in list(self._lanes.items()):
                if group and events + lane.parts[0].events > most_events:
                    continue
                fitting = True
                part = self._take_first(key, lane)
                if not part.done.done():
                    part.begun = True
                    events += part.events
                    group.append(part)
        return group

    def take_late(self, begun_before: float) -> list[Part]:
        """Takes out the parts that have waited since then or longer."""
        late: list[Part] = []
        for key, lane in list(self._lanes.items()):
            while lane.parts and lane.parts[0].since <= begun_before:
                late.append(self._take_first(key, lane))
        return late

    def _take_first(self, key: Key, lane: Lane) -> Part:
        part = lane.parts.popleft()
        lane.events -= part.events
        lane.size -= part.size
        self.events -= part.events
        self.size -= part.size
        if lane.parts:
            self._lanes.move_to_end(key)
        else:
            del self._lanes[key]
        return part

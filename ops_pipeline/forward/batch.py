"""Reads the next events after a position, bounded by number and bytes."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, LiteralString
from uuid import UUID

from psycopg import sql as compose

import sql
from ops_pipeline.forward.position import Position
from ops_pipeline.postgres.connection import Connection

MOST_EVENTS = 500
FIRST = ("-infinity", UUID(int=0))
"""The position before the first event of the log."""


@dataclass(frozen=True, slots=True)
class Item:
    """An event as a line of JSON with its line feed, and the position after it."""

    id: UUID
    line: bytes
    after: Position


@dataclass(frozen=True, slots=True)
class Batch:
    """Events, and the position after them. `deleted`: events that were deleted before they were read."""

    items: Sequence[Item]
    end: Position
    deleted: int = 0


def next_batch(connection: Connection, position: Position, most_events: int, most_bytes: int) -> Batch:
    """The events after a position that is not caught up, within these limits, and at least one.

    Without items, `end` is still further on. Raises psycopg.Error.
    """
    batch = _read(connection, position, most_events, most_bytes)
    if batch.items:
        # After the last event nothing of the batch is left to deliver.
        last = replace(batch.items[-1], after=batch.end)
        return replace(batch, items=[*batch.items[:-1], last])
    return batch


def _read(connection: Connection, position: Position, most_events: int, most_bytes: int) -> Batch:
    if position.since is not None:
        return _logged(connection, position, most_events, most_bytes)
    values = {"limit": most_events, **_place(position)}
    arrivals = connection.execute(sql.get("forward/arrivals"), values).fetchall()
    if not arrivals:
        return Batch((), position.caught_up())
    return _arrived(connection, position, arrivals, most_bytes)


def _arrived(
    connection: Connection, position: Position, arrivals: Sequence[tuple[Any, ...]], most_bytes: int
) -> Batch:
    after = [
        replace(position, transaction=transaction, place=place, nth=nth)
        for transaction, place, nth, *_ in arrivals
    ]
    *_, oldest, newest = arrivals[0]
    values = {
        "created_ats": [created_at for *_, created_at, _, _, _ in arrivals],
        "ids": [event_id for *_, event_id, _, _ in arrivals],
        "oldest": oldest,
        "newest": newest,
        "bytes": most_bytes,
    }
    items: list[Item] = []
    # Not prepared: a generic plan would open every partition.
    for number, line in connection.execute(_with_event("forward/events"), values, prepare=False):
        if line is None:
            end = after[number - 2]
            return Batch(items, end, number - 1 - len(items))
        items.append(Item(arrivals[number - 1][4], _encoded(line), after[number - 1]))
    return Batch(items, after[-1], len(arrivals) - len(items))


def _logged(connection: Connection, position: Position, most_events: int, most_bytes: int) -> Batch:
    created_at, event_id = (
        (position.logged_created_at, position.logged_id) if position.logged_created_at is not None else FIRST
    )
    values = {
        "created_at": created_at,
        "id": event_id,
        "since": position.since,
        "limit": most_events,
        "bytes": most_bytes,
    }
    rows = connection.execute(_with_event("forward/logged"), values, prepare=False).fetchall()
    items = [
        Item(event_id, _encoded(line), replace(position, logged_created_at=created_at, logged_id=event_id))
        for created_at, event_id, line in rows
        if line is not None
    ]
    if len(rows) < most_events and len(items) == len(rows):
        return Batch(items, replace(position, since=None, logged_created_at=None, logged_id=None))
    return Batch(items, items[-1].after)


def _place(position: Position) -> dict[str, Any]:
    names = ("seen", "visible", "transaction", "place", "nth")
    return {name: getattr(position, name) for name in names}


def _with_event(name: LiteralString) -> compose.Composed:
    return compose.SQL(sql.get(name)).format(event=compose.SQL(sql.get("audit/event")))


def _encoded(line: str) -> bytes:
    return line.encode() + b"\n"
